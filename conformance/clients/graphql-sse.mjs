// graphql-sse, in the mode of distinct connections.

import assert from 'node:assert/strict'
import { createClient } from 'graphql-sse'
import { LOST, done, everything, query, url } from './everything.mjs'

const client = createClient({ url, retryAttempts: 0 })

async function* follow(name, variables) {
  for await (const { data } of client.iterate({ query: query(name), variables })) yield data
}

async function ask(name, variables) {
  for await (const { data } of client.iterate({ query: query(name), variables })) return data
}

await everything({ client: 'graphql-sse', ask, follow })
const lost = []
for await (const result of client.iterate({ query: query('Resume'), variables: { symbol: 'BTC-USDT', after: LOST } })) lost.push(result)
assert.deepEqual(lost.map(({ errors }) => errors[0].extensions.code), ['CURSOR_EXPIRED'])
const mistakes = { '{ nonsense }': 'GRAPHQL_VALIDATION_FAILED', 'subscription { health {': 'GRAPHQL_PARSE_FAILED' }
for (const [mistake, code] of Object.entries(mistakes)) {
  const results = []
  for await (const result of client.iterate({ query: mistake })) results.push(result)
  assert.equal(results.length, 1)
  assert.equal(results[0].errors[0].extensions.code, code)
}
done('query, mutations, subscription; mistakes are events')
