// graphql-ws, whose PROTOCOL.md graphql-transport-ws is.

import assert from 'node:assert/strict'
import { createClient } from 'graphql-ws'
import { LOST, done, everything, query, socketUrl } from './everything.mjs'

let connections = 0
let pings = 0
let pongs = 0
let closed = 0
const client = createClient({
  url: socketUrl,
  lazy: false,
  keepAlive: 200,
  on: {
    connected: () => { connections++ },
    ping: (received) => { if (received) pings++ },
    pong: (received) => { if (received) pongs++ },
    closed: () => { closed++ },
  },
})

async function* follow(name, variables) {
  for await (const { data } of client.iterate({ query: query(name), variables })) yield data
}

async function ask(name, variables) {
  for await (const { data } of client.iterate({ query: query(name), variables })) return data
}

const live = follow('Follow', { symbol: 'ETH-USDT' })
await live.next()
await everything({ client: 'graphql-ws', ask, follow })
const mistakes = { '{ nonsense }': 'GRAPHQL_VALIDATION_FAILED', '{ health {': 'GRAPHQL_PARSE_FAILED' }
for (const [mistake, code] of Object.entries(mistakes)) {
  const wrong = client.iterate({ query: mistake })
  await assert.rejects(wrong.next(), (errors) => errors[0].extensions.code === code)
}
const lost = client.iterate({ query: query('Resume'), variables: { symbol: 'BTC-USDT', after: LOST } })
await assert.rejects(lost.next(), (errors) => errors[0].extensions.code === 'CURSOR_EXPIRED')
await live.next()
// The server answers pings, of which all of the above may have been too short for one.
while (!pongs) await new Promise((resolve) => setTimeout(resolve, 20))
await live.return()
assert.deepEqual([connections, closed], [1, 0], 'all of it took one connection')

// A client that says nothing is asked for a sign of life.
const silent = createClient({
  url: socketUrl,
  lazy: false,
  on: { ping: (received) => { if (received) pings++ } },
})
while (pings < 2) await new Promise((resolve) => setTimeout(resolve, 20))
await silent.dispose()
await client.dispose()
done('query, mutations, subscription, mistakes leave the socket open, pings both ways')
