// graphql-request, which leaves subscriptions to graphql-ws.

import assert from 'node:assert/strict'
import { ClientError, GraphQLClient } from 'graphql-request'
import { createClient } from 'graphql-ws'
import { document, done, everything, query, socketUrl, url } from './everything.mjs'

const client = new GraphQLClient(url)
const sockets = createClient({ url: socketUrl })

async function* follow(name, variables) {
  for await (const { data } of sockets.iterate({ query: query(name), variables })) yield data
}

await everything({ client: 'graphql-request', ask: (name, variables) => client.request(document(name), variables), follow })
await assert.rejects(client.request('{ nonsense }'), (error) => {
  assert.ok(error instanceof ClientError)
  assert.equal(error.response.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED')
  return true
})
done('query, mutations, error; subscription by graphql-ws')
