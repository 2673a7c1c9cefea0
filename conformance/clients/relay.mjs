// Relay: relay-compiler makes modules of relay/market.js, and relay-runtime runs them with null for each unset variable.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync, mkdirSync } from 'node:fs'
import { createClient } from 'graphql-ws'
import compiler from 'relay-compiler'
import relay from 'relay-runtime'
import { LOST, done, everything, observed, socketUrl, url } from './everything.mjs'

const here = (path) => new URL(path, import.meta.url).pathname
const folder = here('../generated/relay')
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
execFileSync(compiler, ['--noWatchman', '--output', 'quiet-with-errors', 'relay.config.json'], { cwd: here('./relay') })
const made = async (name) => (await import(`${folder}/market${name}.graphql.js`)).default

const sockets = createClient({ url: socketUrl })
const asked = []

async function fetched({ text: query }, variables) {
  asked.push(variables)
  const headers = { 'content-type': 'application/json' }
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) })).json()
}

function followed({ text: query }, variables) {
  asked.push(variables)
  return relay.Observable.create((sink) => sockets.subscribe({ query, variables }, sink))
}

const environment = new relay.Environment({
  // Ids are numbers of a table: bot 1 is not raw trade 1, and a record's key has its type in it.
  getDataID: ({ id }, type) => (id == null ? undefined : `${type}:${id}`),
  network: relay.Network.create(fetched, followed),
  store: new relay.Store(new relay.RecordSource()),
})

const query = async (name, variables) => relay.fetchQuery(environment, await made(name), variables).toPromise()

async function mutate(name, variables) {
  const mutation = await made(name)
  return new Promise((onCompleted, onError) => relay.commitMutation(environment, { mutation, variables, onCompleted, onError }))
}

async function* follow(name, variables) {
  const subscription = await made(`${name}Subscription`)
  yield* observed((onNext, onError) => {
    const following = relay.requestSubscription(environment, { subscription, variables, onNext, onError })
    return () => following.dispose()
  })
}

await everything({
  client: 'relay',
  ask: (name, variables) => (name === 'Latest' ? query('LatestQuery', variables) : mutate(`${name}Mutation`, variables)),
  follow: (name, variables) => follow(name, { ...variables, timeframe: '5s' }),
})
assert.deepEqual(asked.at(-1), { exchange: 'okx', symbol: 'BTC-USDT', timeframe: '5s', after: null, snapshot: 0 })

// Nothing is set, and each variable is sent as null.
const all = await query('EverythingQuery', {})
assert.equal(Object.values(asked.at(-1)).filter((value) => value === null).length, 10)
for (const part of [all.bots.nodes, all.markets, all.instruments.nodes, all.rawTrades.nodes, all.candleSeries.time]) assert.ok(part.length)

// A candle is written back as it was read, and a bot made without settings.
const series = { symbol: `RELAY-${process.pid}`, timeframe: '1m' }
const prices = { open: '1', high: '3.5', low: '0.5', close: '2', volume: '10' }
const minute = (number) => `2024-01-01T00:0${number}:00.000Z`
for (const number of [0, 1, 2, 3, 4]) {
  const input = { exchange: 'okx', ...series, ...prices, startTime: minute(number), endTime: null, tradeCount: null }
  const { candle, stored } = (await mutate('WriteMutation', { input })).upsertCandle
  assert.deepEqual([stored, candle.tradeCount, Date.parse(candle.startTime)], [true, null, Date.parse(minute(number))])
}
const [{ node: read }] = (await query('PageQuery', { ...series, first: 1 })).candles.edges
const { __typename: _, ...fields } = read
const back = (await mutate('WriteMutation', { input: { ...series, ...fields }, forceUpdate: true })).upsertCandle
assert.deepEqual([back.candle.startTime, back.candle.close, back.candle.tradeCount], [read.startTime, '2', null])
const bare = { name: `relay bare ${process.pid}`, strategyName: 'none', ...series, virtualBalance: '0', config: null }
const { bot } = (await mutate('CreateMutation', { input: bare })).createBot
assert.deepEqual([bot.config, bot.status], [{}, 'INACTIVE'])
await mutate('DeleteMutation', { id: bot.id })

// Pages grow into one list, from either end.
const minutes = ({ edges }) => edges.map(({ node }) => new Date(node.startTime).getUTCMinutes())
let from
for (const count of [2, 4, 5]) {
  const { candles } = await query('PageQuery', { ...series, first: 2, after: from })
  assert.deepEqual([minutes(candles), candles.pageInfo.hasNextPage], [[0, 1, 2, 3, 4].slice(0, count), count < 5])
  from = candles.pageInfo.endCursor
}
let until
for (const count of [2, 4, 5]) {
  const { candles } = await query('PageQuery', { ...series, last: 2, before: until })
  assert.deepEqual([minutes(candles), candles.pageInfo.hasPreviousPage], [[0, 1, 2, 3, 4].slice(-count), count < 5])
  until = candles.pageInfo.startCursor
}

// What is refused comes with its code.
const code = (expected) => (error) => (error.source?.errors ?? error)[0].extensions.code === expected
await assert.rejects(query('NonsenseQuery', { symbol: 'BTC-USDT' }), code('BAD_USER_INPUT'))
await assert.rejects(mutate('CreateMutation', { input: { ...bare, virtualBalance: null } }), code('BAD_USER_INPUT'))
const lost = follow('Follow', { symbol: 'BTC-USDT', timeframe: '5s', after: LOST })
await assert.rejects(lost.next(), code('CURSOR_EXPIRED'))
done('compiled query, null for what is unset, pages both ways, mutations, subscription, mistakes')
