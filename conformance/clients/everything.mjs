// What every client does: a query, a mutation that makes a bot and one that deletes it, and two live events.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parse, print, separateOperations } from 'graphql'

export const url = process.argv[2]
export const socketUrl = url.replace('http', 'ws')

const text = readFileSync(new URL('../operations.graphql', import.meta.url), 'utf8')
const documents = separateOperations(parse(text))
export const document = (name) => documents[name]
export const query = (name) => print(documents[name])

// A cursor of BTC-USDT 5s that another database gave.
export const LOST = 'mKFso29reKhCVEMtVVNEVKI1cwHAwKllbHNld2hlcmU'

// `ask(name, variables)` gives the data of a query or mutation, `follow(name, variables)` an iterable over that of events.
export async function everything({ client, ask, follow }) {
  const { latestCandle, markets } = await ask('Latest', { symbol: 'BTC-USDT' })
  assert.equal(latestCandle.symbol, 'BTC-USDT')
  assert.match(latestCandle.close, /^\d+(\.\d+)?$/)
  assert.ok(markets.some((market) => market.isCollected))

  const name = `${client} ${process.pid}`
  const input = { name, strategyName: 'none', symbol: 'BTC-USDT', timeframe: '5s', virtualBalance: '0.00000001', config: { a: [1] } }
  const { bot } = (await ask('Create', { input })).createBot
  assert.deepEqual([bot.name, bot.virtualBalance, bot.config.a], [name, '0.00000001', [1]])
  assert.equal((await ask('Delete', { id: bot.id })).deleteBot.deleted, true)

  let events = 0
  for await (const { candles } of follow('Follow', { symbol: 'BTC-USDT' })) {
    assert.ok(candles.cursor)
    if (candles.kind !== 'GAP') assert.ok(candles.candle.close)
    if (++events === 2) break
  }
  assert.equal(events, 2)
}

// The values of something that is observed, in order.
export async function* observed(subscribe) {
  const values = []
  let wake
  let failure
  const next = (value) => { values.push(value); wake?.() }
  const fail = (error) => { failure = error; wake?.() }
  const stop = subscribe(next, fail)
  try {
    while (true) {
      if (failure) throw failure
      if (values.length) yield values.shift()
      else await new Promise((resolve) => { wake = resolve })
    }
  } finally {
    stop()
  }
}

export function done(line) {
  console.log(line)
  process.exit(0)
}
