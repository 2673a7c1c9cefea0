// The watch list: every collected market with its price now, a day's line, and how much it changed in that day.
import { History, WatchEvents, type Market, type WatchEvent } from './api'
import { choose, chosen, type Choice } from './choice'
import { ask, follow } from './connection'
import { digitsFor, printed } from './decimal'
import { arrows, byId, element, onceAFrame } from './dom'
import { digitsAt, firstTimeOf, loadMarkets, symbols, timeframesOf, withTimeframe } from './markets'
import { drawSparkline } from './sparkline'
import { secondsOf } from './timeframes'

const DAY = 86_400
const POINTS = 1441 // Of a line, at most: a day of minutes, and the one before it.
const OLD = 3600 // Seconds before that day whose price still counts as its first: not every candle is traded.
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
  deleted: { start: number; end: number }[] // While its line is loaded, which may be of before that.
  since: string | undefined // When its series began as its line was loaded; undefined before.
}

const list = byId('watch')
const keyOf = ({ exchange, symbol }: { exchange: string; symbol: string }): string => `${exchange} ${symbol}`
const rows = new Map<string, Row>()
const changed = new Set<Row>()

let stop = () => {}

/** List what is collected by now; call it again when there may be more, or other ones. */
export function watchMarkets(): void {
  const known = new Set(symbols().map(keyOf))
  const gone = [...rows.keys()].filter((key) => !known.has(key))
  for (const key of gone) rows.delete(key)
  const found = symbols().filter((market) => market.isCollected && !rows.has(keyOf(market))).slice(0, WATCHED - rows.size)
  if (found.length || gone.length) {
    for (const market of found) rows.set(keyOf(market), rowOf(market))
    list.replaceChildren(...[...rows.values()].map(({ button }) => element('li', {}, button)))
    followRows()
    markWatched()
  }
  if (!rows.size) list.replaceChildren(element('li', { class: 'message' }, 'Nothing is collected. Name pairs in okx_config.json and start “candleql collect”.'))
  void loadLines()
}

function followRows(): void {
  stop()
  stop = () => {}
  if (!rows.size) return
  const series = [...rows.values()].map(({ choice }) => choice)
  stop = follow(WatchEvents, { series }, ({ watchCandles }) => hear(watchCandles), (refused) => {
    if (refused.code === 'CURSOR_EXPIRED') forgetLines()
  })
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
  return { choice, button, price, change, line, prices: new Map(), last: '', deleted: [], since: undefined }
}

/** When the price was told that a day's change is counted from; undefined while that is not known. By the server's times. */
function dayAgo(times: number[], length: number): number | undefined {
  const wanted = times.at(-1)! - DAY * 1000
  const found = times.findLast((time) => time <= wanted)
  return found !== undefined && found >= wanted - Math.max(OLD, length) * 1000 ? found : undefined
}

const timesOf = ({ prices }: Row): number[] => [...prices.keys()].sort((a, b) => a - b)

/** Whether its line has all that there is of a day: one whose history is loaded only just now is asked for again. */
function isWhole(row: Row): boolean {
  if (row.since === undefined) return false
  return dayAgo(timesOf(row), secondsOf(row.choice.timeframe)) !== undefined || row.since === (firstTimeOf(row.choice) ?? '')
}

/** Load every market and line anew: the server's data are others. */
export function forgetLines(): void {
  for (const row of rows.values()) {
    row.prices.clear()
    row.last = ''
    row.since = undefined
    changed.add(row)
  }
  draw()
  void loadMarkets().then(watchMarkets, () => {})
}

let isLoading = false
let isAsked = false

/** Load the lines that are not whole. Whoever asks while they are loaded has it done once more. */
async function loadLines(): Promise<void> {
  isAsked = true
  if (isLoading) return
  isLoading = true
  while (isAsked) {
    isAsked = false
    for (const row of rows.values()) if (!isWhole(row)) await loadLine(row)
  }
  isLoading = false
}

async function loadLine(row: Row): Promise<void> {
  const since = firstTimeOf(row.choice) ?? ''
  row.deleted = []
  const last = Math.min(POINTS, Math.ceil(DAY / secondsOf(row.choice.timeframe)) + 1)
  const { candleSeries } = await ask(History, { ...row.choice, last }).catch(() => ({ candleSeries: null }))
  if (!candleSeries) return
  row.since = since
  candleSeries.time.forEach((time, at) => {
    const isDeleted = row.deleted.some(({ start, end }) => time >= start && time < end)
    if (!isDeleted && !row.prices.has(time)) row.prices.set(time, candleSeries.close[at]!)
  })
  changed.add(row)
  draw()
}

function hear({ kind, series, candle, gap }: WatchEvent): void {
  const row = rows.get(keyOf(series))
  if (!row) return
  if (kind === 'DELETED' && gap) remove(row, Date.parse(gap.start), Date.parse(gap.end))
  if (candle) {
    row.last = candle.close
    row.prices.set(Date.parse(candle.startTime), Number(candle.close))
  }
  changed.add(row)
  draw()
}

/** Forget the prices of what was deleted; the newest that is left is told next, and older ones are to be loaded. */
function remove(row: Row, start: number, end: number): void {
  row.deleted.push({ start, end })
  for (const time of row.prices.keys()) if (time >= start && time < end) row.prices.delete(time)
  row.last = ''
  row.since = undefined
  void loadLines()
}

arrows(list, 'button')

const draw = onceAFrame(() => {
  const style = getComputedStyle(document.documentElement)
  for (const row of changed) drawRow(row, style)
  changed.clear()
})

function drawRow(row: Row, style: CSSStyleDeclaration): void {
  const times = timesOf(row)
  const begin = dayAgo(times, secondsOf(row.choice.timeframe))
  const oldest = begin ?? (times.at(-1) ?? 0) - DAY * 1000
  for (const time of times) if (time < oldest) row.prices.delete(time)
  const prices = times.filter((time) => time >= oldest).map((time) => row.prices.get(time)!)
  const [first = 0, last = 0] = [prices[0], prices.at(-1)]
  const direction = last < first ? 'down' : 'up'
  row.price.textContent = row.last && printed(row.last, digitsAt(row.choice) ?? digitsFor(last))
  // Against anything else than the price of a day ago it would say nothing of a day.
  row.change.textContent = begin === undefined ? '' : `${last < first ? '−' : '+'}${Math.abs((last / first - 1) * 100).toFixed(2)}%`
  row.change.className = direction
  drawSparkline(row.line, row.since === undefined ? [] : prices, style.getPropertyValue(`--${direction}`))
}
