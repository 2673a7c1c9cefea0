// The chart with its legend, price and messages: shows one series at a time.
import { Candles } from './candles'
import { Chart } from './chart'
import type { Choice } from './choice'
import { digitsFor, printed } from './decimal'
import { byId } from './dom'
import { Legend } from './legend'
import { digitsAt } from './markets'
import { notice } from './notice'
import { titleMarket } from './title'
import { forgetLines } from './watch'

const message = byId('chart-message')
const price = byId('price')
const legend = new Legend()
const newest = byId('newest')
const chart = new Chart(byId('chart'), (time) => legend.point(time), (isLeft) => (newest.hidden = !isLeft))
let candles: Candles | undefined
let digits = 2

/** Begin anew with other colours or another clock. */
export function redraw(): void {
  chart.rebuild()
  legend.draw()
}

export function say(text: string, isError = false): void {
  if (message.textContent === text) return // A screen reader would say it again.
  message.textContent = text
  message.classList.toggle('error', isError)
  message.hidden = !text
}

export function show(choice: Choice): void {
  candles?.stop()
  price.textContent = ''
  titleMarket(choice.symbol)
  say('Loading…')
  digits = digitsAt(choice) ?? 2
  const shown = new Candles(choice, {
    loaded: () => {
      const last = shown.bars.at(-1)
      if (digitsAt(choice) === undefined && last) setDigits(digitsFor(last.close))
      say(last || !shown.isLoaded ? '' : nothing(choice))
      chart.change()
      legend.draw()
      drawPrice()
    },
    moved: (bar) => {
      say('')
      chart.change(bar)
      legend.draw()
      drawPrice()
    },
    told: () => {
      legend.draw()
      drawPrice()
    },
    uncollected: () => say(uncollected(choice)),
    replaced: () => {
      notice('The data of the server are others than before, such as after a restore: all was loaded anew.')
      price.textContent = ''
      titleMarket(choice.symbol)
      forgetLines()
    },
    failed: (refused) => say(`${refused.message}. Trying again…`, true),
  })
  candles = shown
  chart.show(shown, digits)
  legend.show(shown, digits)
}

function setDigits(found: number): void {
  if (found === digits || !candles) return
  digits = found
  chart.show(candles, digits)
  legend.show(candles, digits)
}

function drawPrice(): void {
  if (!candles) return
  const exact = candles.exact.get(candles.bars.at(-1)?.time ?? 0)
  if (!exact) { // It is asked for, or there is none any more.
    price.textContent = ''
    return titleMarket(candles.choice.symbol)
  }
  const text = printed(exact.close, digits)
  price.className = `price ${Number(exact.close) < Number(exact.open) ? 'down' : 'up'}`
  price.textContent = text
  titleMarket(`${text} ${candles.choice.symbol}`)
}

function nothing({ symbol, timeframe }: Choice): string {
  return (
    `No candles of ${symbol} ${timeframe} yet. They come with the first trade that is collected: add the pair to` +
    ` okx_config.json, or load its past with “candleql backfill ${symbol} -t ${timeframe} --since DATE”.`
  )
}

function uncollected({ symbol, timeframe }: Choice): string {
  return (
    `Nobody collects ${symbol} ${timeframe}, and nothing is stored of it: add the pair to okx_config.json and start` +
    ` “candleql collect”, or load its past with “candleql backfill ${symbol} -t ${timeframe} --since DATE”.`
  )
}

function read(by: number): void {
  legend.read()
  chart.step(by)
}

const KEYS: Record<string, () => void> = {
  ArrowLeft: () => read(-1),
  ArrowRight: () => read(1),
  PageUp: () => chart.pan(-0.5),
  PageDown: () => chart.pan(0.5),
  '+': () => chart.zoom(0.8),
  '-': () => chart.zoom(1.25),
  End: () => chart.toNewest(),
  Escape: () => chart.toNewest(),
}

byId('chart').addEventListener('keydown', (event) => {
  const act = KEYS[event.key]
  if (!act) return
  event.preventDefault()
  act()
})
newest.addEventListener('click', () => chart.toNewest())
