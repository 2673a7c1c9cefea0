// The markets that there is something to draw of, and the steps that their prices move by.
import { Markets, type Market } from './api'
import type { Choice } from './choice'
import { ask } from './connection'
import { digitsOf } from './decimal'
import { byLength } from './timeframes'

let markets: Market[] = []

/** Ask the server anew. */
export async function loadMarkets(): Promise<void> {
  markets = (await ask(Markets, {})).markets ?? []
}

const isOf =
  ({ exchange, symbol }: Omit<Choice, 'timeframe'>) =>
  (market: Market) =>
    market.exchange === exchange && market.symbol === symbol

/** One of each symbol: what is collected first, then by name. */
export function symbols(): Market[] {
  const first = new Map<string, Market>()
  for (const market of markets) {
    const key = `${market.exchange} ${market.symbol}`
    if (!first.has(key) || market.isCollected) first.set(key, market)
  }
  return [...first.values()].sort((a, b) => Number(b.isCollected) - Number(a.isCollected))
}

/** The timeframes of a symbol, the shortest first. */
export function timeframesOf(symbol: Omit<Choice, 'timeframe'>): string[] {
  return markets.filter(isOf(symbol)).map((market) => market.timeframe).sort(byLength)
}

/** When the stored candles of a series begin, as of the last look. */
export function firstTimeOf(choice: Choice): string | undefined {
  return markets.filter(isOf(choice)).find(({ timeframe }) => timeframe === choice.timeframe)?.firstTime ?? undefined
}

/** Digits after the point of a symbol's prices, where its step is known. */
export function digitsAt(symbol: Omit<Choice, 'timeframe'>): number | undefined {
  const tickSize = markets.find(isOf(symbol))?.tickSize
  return tickSize ? digitsOf(tickSize) : undefined
}

/** What to show when nothing was chosen: a minute of the first market that is collected. */
export function firstChoice(): Choice | null {
  const first = symbols()[0]
  return first ? withTimeframe(first, '1m') : null
}

/** The symbol at this timeframe or, where it has no such candles, its shortest. */
export function withTimeframe(symbol: Omit<Choice, 'timeframe'>, wanted: string): Choice {
  const there = timeframesOf(symbol)
  const timeframe = there.includes(wanted) ? wanted : (there[0] ?? wanted)
  return { exchange: symbol.exchange, symbol: symbol.symbol, timeframe }
}
