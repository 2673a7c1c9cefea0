// urql, by its core: subscriptions over graphql-ws, and over its own fetch as server-sent events.

import assert from 'node:assert/strict'
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core'
import { createClient } from 'graphql-ws'
import { document, done, everything, observed, socketUrl, url } from './everything.mjs'

// Who unsubscribes while an event is handed over hears nowhere else that the fetch was aborted, as was asked.
process.on('unhandledRejection', (reason) => {
  if (reason.name !== 'AbortError') throw reason
})

const sockets = createClient({ url: socketUrl })
const overSockets = subscriptionExchange({
  forwardSubscription: (request) => ({
    subscribe: (sink) => ({ unsubscribe: sockets.subscribe({ ...request, query: request.query ?? '' }, sink) }),
  }),
})

for (const [client, options] of Object.entries({
  'urql over graphql-ws': { exchanges: [cacheExchange, fetchExchange, overSockets] },
  'urql over its fetch': { exchanges: [cacheExchange, fetchExchange], fetchSubscriptions: true },
})) {
  const urql = new Client({ url, preferGetMethod: false, ...options })

  const ask = async (name, variables) => {
    const { data, error } = await urql[name === 'Latest' ? 'query' : 'mutation'](document(name), variables).toPromise()
    if (error) throw error
    return data
  }

  const follow = (name, variables) => observed((next, fail) => {
    const following = urql.subscription(document(name), variables).subscribe(({ data, error }) => (error ? fail(error) : next(data)))
    return () => following.unsubscribe()
  })

  await everything({ client, ask, follow })
  const { error } = await urql.query('{ nonsense }', {}).toPromise()
  assert.equal(error.graphQLErrors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED')
}
done('query, mutations, error; subscription by graphql-ws and as server-sent events')
