// The watch list: every collected market with its price now, a day's line, and how much it changed over that.
import { History, WatchEvents, type Market } from './api'
import { choose, chosen, type Choice } from './choice'
import { ask, follow } from './connection'
import { digitsFor, printed } from './decimal'
import { arrows, byId, element, onceAFrame } from './dom'
import { digitsAt, firstTimeOf, symbols, timeframesOf, withTimeframe } from './markets'
import { drawSparkline } from './sparkline'
import { secondsOf } from './timeframes'

const DAY = 86_400
const POINTS = 300 // Of a line, at most.
const WATCHED = 200 // Series on one subscription, at most.
const USUAL = 900 // Seconds of a candle that a day's line is made of, if there are such.

interface Row {
  choice: Choice
  button: HTMLElement
  price: HTMLElement
  change: HTMLElement
  line: HTMLCanvasElement
  prices: Map<number, number> // By start, in milliseconds.
  last: string
  since: string | undefined // When its series began as its line was loaded; undefined before.
}

const list = byId('watch')
const keyOf = ({ exchange, symbol }: { exchange: string; symbol: string }): string => `${exchange} ${symbol}`
const rows = new Map<string, Row>()
const changed = new Set<Row>()

let stop = () => {}

/** List what is collected by now; call it again when there may be more. */
export function watchMarkets(): void {
  const found = symbols().filter((market) => market.isCollected && !rows.has(keyOf(market))).slice(0, WATCHED - rows.size)
  if (found.length) {
    for (const market of found) rows.set(keyOf(market), rowOf(market))
    list.replaceChildren(...[...rows.values()].map(({ button }) => element('li', {}, button)))
    stop()
    stop = follow(WatchEvents, { series: [...rows.values()].map(({ choice }) => choice) }, ({ watchCandles: { candle } }) => hear(candle))
    markWatched()
  } else if (!rows.size) list.replaceChildren(element('li', { class: 'message' }, 'Nothing is collected. Name pairs in okx_config.json and start “candleql collect”.'))
  void loadLines()
}

/** Mark the market that is shown. */
export function markWatched(): void {
  const shown = chosen()
  for (const [key, { button }] of rows) button.setAttribute('aria-current', String(shown !== null && key === keyOf(shown)))
}

/** Draw every line anew, in other colours. */
export function redrawWatched(): void {
  for (const row of rows.values()) changed.add(row)
  draw()
}

function rowOf(market: Market): Row {
  const timeframe = timeframesOf(market).reduce((best, other) =>
    Math.abs(secondsOf(other) - USUAL) < Math.abs(secondsOf(best) - USUAL) ? other : best,
  )
  const [price, change, line] = [element('span'), element('span'), element('canvas', { 'aria-hidden': 'true' })]
  const pick = () => choose(withTimeframe(market, chosen()?.timeframe ?? '1m'))
  const name = element('span', { class: 'name' }, market.symbol)
  const button = element('button', { type: 'button', click: pick }, name, line, price, change)
  const choice = { exchange: market.exchange, symbol: market.symbol, timeframe }
  return { choice, button, price, change, line, prices: new Map(), last: '', since: undefined }
}

/** Whether its line has all that there is of a day. By the server's times: the clock of this machine may be wrong. */
function isWhole({ prices, choice, since }: Row): boolean {
  if (since === undefined) return false
  const times = [...prices.keys()]
  const span = Math.max(...times) - Math.min(...times)
  // A history may be loaded only just now, from its end.
  return span >= (DAY - 2 * secondsOf(choice.timeframe)) * 1000 || since === (firstTimeOf(choice) ?? '')
}

/** Load every line anew: the server's data are others. */
export function forgetLines(): void {
  for (const row of rows.values()) {
    row.prices.clear()
    row.since = undefined
  }
  void loadLines()
}

async function loadLines(): Promise<void> {
  for (const row of rows.values()) {
    if (isWhole(row)) continue
    const since = firstTimeOf(row.choice) ?? ''
    const last = Math.min(POINTS, Math.ceil(DAY / secondsOf(row.choice.timeframe)))
    const { candleSeries } = await ask(History, { ...row.choice, last }).catch(() => ({ candleSeries: null }))
    if (candleSeries) row.since = since
    candleSeries?.time.forEach((time, at) => {
      if (!row.prices.has(time)) row.prices.set(time, candleSeries.close[at]!)
    })
    changed.add(row)
    draw()
  }
}

function hear(candle: { exchange: string; symbol: string; startTime: string; close: string } | null | undefined): void {
  const row = candle && rows.get(keyOf(candle))
  if (!row) return
  row.last = candle.close
  row.prices.set(Date.parse(candle.startTime), Number(candle.close))
  changed.add(row)
  draw()
}

arrows(list, 'button')

const draw = onceAFrame(() => {
  const style = getComputedStyle(document.documentElement)
  for (const row of changed) {
    const times = [...row.prices.keys()].sort((a, b) => a - b)
    const since = times.at(-1)! - DAY * 1000
    for (const time of times) if (time < since) row.prices.delete(time)
    const prices = times.filter((time) => time >= since).map((time) => row.prices.get(time)!)
    const [first, last] = [prices[0], prices.at(-1)]
    if (first === undefined || last === undefined) continue
    const direction = last < first ? 'down' : 'up'
    if (row.last) row.price.textContent = printed(row.last, digitsAt(row.choice) ?? digitsFor(last))
    // Against what came since the page was opened, or against itself, it would say nothing of a day.
    if (row.since === undefined || prices.length < 2) continue
    row.change.textContent = `${last < first ? '−' : '+'}${Math.abs((last / first - 1) * 100).toFixed(2)}%`
    row.change.className = direction
    drawSparkline(row.line, prices, style.getPropertyValue(`--${direction}`))
  }
  changed.clear()
})
