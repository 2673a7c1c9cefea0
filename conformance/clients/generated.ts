// Uses what graphql-codegen made: the types of variables and results are those of the schema.

import { GraphQLClient } from 'graphql-request'
import { createClient } from 'graphql-ws'
import { print } from 'graphql'
import type { TypedDocumentNode } from '@graphql-typed-document-node/core'
import { graphql } from '../generated/typescript/index.ts'
import { type CandleEventKind, CreateDocument, DeleteDocument, FollowDocument } from '../generated/typescript/graphql.ts'

declare const process: { argv: string[]; pid: number; exit(code: number): never }

const url = process.argv[2] as string
const client = new GraphQLClient(url)
const sockets = createClient({ url: url.replace('http', 'ws') })

async function* follow<Result, Variables extends Record<string, unknown>>(
  document: TypedDocumentNode<Result, Variables>,
  variables: Variables,
): AsyncGenerator<Result> {
  for await (const { data } of sockets.iterate<Result>({ query: print(document), variables })) {
    if (data) yield data
  }
}

function check(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what)
}

const Inline = graphql(`
  query Inline {
    stats {
      candleCount
    }
  }
`)
const { stats } = await client.request(Inline)
check(stats, 'the server counts candles')
const count: string | null | undefined = stats.candleCount

const name = `graphql-codegen ${process.pid}`
const input = { name, strategyName: 'none', symbol: 'BTC-USDT', timeframe: '5s', virtualBalance: '0.1' }
const { createBot } = await client.request(CreateDocument, { input })
check(createBot?.bot.virtualBalance === '0.1', 'a bot is made')
const { deleteBot } = await client.request(DeleteDocument, { id: createBot.bot.id })
check(deleteBot?.deleted, 'and deleted')

const kinds: CandleEventKind[] = []
for await (const { candles } of follow(FollowDocument, { symbol: 'BTC-USDT' })) {
  check(candles.kind === 'GAP' || candles.candle?.close, 'an event has a candle')
  kinds.push(candles.kind)
  if (kinds.length === 2) break
}
console.log(`generated without a warning; query (${count} candles), mutations, subscription`)
process.exit(0)
