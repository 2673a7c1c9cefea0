// @apollo/client, with its link to graphql-ws.

import assert from 'node:assert/strict'
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client'
import { GraphQLWsLink } from '@apollo/client/link/subscriptions'
import { OperationTypeNode } from 'graphql'
import { createClient } from 'graphql-ws'
import { document, done, everything, observed, socketUrl, url } from './everything.mjs'

const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(createClient({ url: socketUrl })),
    new HttpLink({ uri: url }),
  ),
})

async function ask(name, variables) {
  const it = name === 'Latest'
    ? await client.query({ query: document(name), variables })
    : await client.mutate({ mutation: document(name), variables })
  return it.data
}

function follow(name, variables) {
  return observed((next, fail) => {
    const following = client.subscribe({ query: document(name), variables }).subscribe({
      next: ({ data, error }) => (error ? fail(error) : next(data)),
      error: fail,
    })
    return () => following.unsubscribe()
  })
}

await everything({ client: '@apollo/client', ask, follow })
await assert.rejects(client.query({ query: gql`{ nonsense }` }), (error) => {
  assert.ok(CombinedGraphQLErrors.is(error))
  assert.equal(error.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED')
  return true
})
done('query, mutations, subscription, error')
