// Candles in TypeScript, typed by the schema: what is stored, then each that is closed, with none left out after a break.
// Where the server comes back with other data than before, such as those of a backup, it begins anew and says so.
//
//     npm install && npx graphql-codegen
//     node client.ts http://127.0.0.1:8000/graphql BTC-USDT 5s     (Node 22.18 or newer runs TypeScript as it is)
//
// Set CANDLEQL_KEY where the server wants a key.
import { createClient } from 'graphql-ws'
import { graphql } from './generated/gql.ts'
import type { StoredQuery, StoredQueryVariables, FollowedSubscription, TypedDocumentString } from './generated/graphql.ts'

declare const process: { argv: string[]; env: Record<string, string | undefined> }

const [, , url = 'http://127.0.0.1:8000/graphql', symbol = 'BTC-USDT', timeframe = '5s'] = process.argv
const headers: Record<string, string> = process.env.CANDLEQL_KEY ? { Authorization: `Bearer ${process.env.CANDLEQL_KEY}` } : {}

const Stored = graphql(`
  query Stored($symbol: String!, $timeframe: Timeframe!) {
    candles(symbol: $symbol, timeframe: $timeframe, last: 100) {
      nodes { startTime open high low close volume }
      liveCursor
    }
  }
`)
const Followed = graphql(`
  subscription Followed($symbol: String!, $timeframe: Timeframe!, $after: String!) {
    candles(symbol: $symbol, timeframe: $timeframe, after: $after) {
      kind
      cursor
      candle { startTime open high low close volume }
      gap { start end }
    }
  }
`)

type Candle = NonNullable<StoredQuery['candles']>['nodes'][number]

async function ask<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
  const body = JSON.stringify({ query: document.toString(), variables })
  const answer = await fetch(url, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body })
  const { data, errors } = (await answer.json()) as { data?: Data; errors?: { message: string }[] }
  if (errors || !data) throw new Error(errors?.map(({ message }) => message).join('; ') ?? `HTTP ${answer.status}`)
  return data
}

// Decimals are strings, exact to the last digit: Number(close) would only be near it.
const show = (kind: string, { startTime, open, high, low, close, volume }: Candle) =>
  console.log(kind.padEnd(9), startTime, open, high, low, close, volume)

const series: StoredQueryVariables = { symbol, timeframe }
const client = createClient({
  url: url.replace(/^http/, 'ws'),
  connectionParams: headers,
  retryAttempts: Infinity,
  shouldRetry: () => true,
  on: { closed: () => console.error('the connection was closed') },
})

async function follow(): Promise<void> {
  const { candles } = await ask(Stored, series)
  if (!candles) throw new Error('the server has no candles to tell of')
  for (const candle of candles.nodes) show('STORED', candle)

  // graphql-ws reads the variables anew whenever it reconnects: with the newest cursor in them nothing is missed.
  const variables = { ...series, after: candles.liveCursor }
  for await (const { data, errors } of client.iterate<FollowedSubscription>({ query: Followed.toString(), variables })) {
    if (errors || !data) throw new Error(errors?.map(({ message }) => message).join('; '))
    const { kind, cursor, candle, gap } = data.candles
    variables.after = cursor
    if (gap && kind === 'DELETED') console.log(kind.padEnd(9), 'candles from', gap.start, 'to', gap.end)
    else if (gap) console.log('GAP'.padEnd(9), 'trades are missing from', gap.start, 'to', gap.end)
    else if (kind === 'NOT_COLLECTED') console.log('NOTHING'.padEnd(9), 'is stored, and nobody collects it')
    else if (candle && kind !== 'FORMING') show(kind, candle)
  }
}

for (;;) {
  try {
    await follow()
  } catch (reason) {
    // What the server refuses comes as a list of its errors.
    const [error] = Array.isArray(reason) ? (reason as { extensions?: { code?: unknown } }[]) : []
    if (error?.extensions?.code !== 'CURSOR_EXPIRED') throw reason
    console.log('ANEW'.padEnd(9), "the server's data are others than before, so all of it begins anew")
  }
}
