// The trades of the market that is shown, the newest on top.
import { TradeEvents, type Trade } from './api'
import type { Choice } from './choice'
import { follow } from './connection'
import { digitsOf, printed } from './decimal'
import { byId, element, onceAFrame } from './dom'
import { clock } from './zone'

const LENGTH = 100
const WAITING = 'Waiting for the first trade.'

const body = byId('tape')
const message = byId('tape-message')
let trades: Trade[] = [] // The newest first, LENGTH at most.
let digits = 0
let stop = () => {}

const byTime = (a: Trade, b: Trade): number => Date.parse(b.timestamp) - Date.parse(a.timestamp)

export function showTape({ exchange, symbol }: Choice, priceDigits: number): void {
  stop()
  digits = priceDigits
  trades = []
  message.textContent = WAITING
  drawTape()
  const variables: { exchange: string; symbol: string; after?: string; snapshot: number } = { exchange, symbol, snapshot: LENGTH }
  stop = follow(
    TradeEvents,
    variables,
    ({ trades: event }) => {
      variables.after = event.cursor
      message.textContent = event.isCollected ? WAITING : `Nobody collects the trades of ${symbol}.`
      // By time: trades that were missing for a while are told after newer ones.
      trades = [...event.trades.slice(-LENGTH).reverse(), ...trades].sort(byTime).slice(0, LENGTH)
      drawTape()
    },
    (refused) => {
      if (refused.code === 'BAD_USER_INPUT') message.textContent = `${refused.message}.`
      if (refused.code !== 'CURSOR_EXPIRED') return
      // Of a database that was replaced: its trades are not those that are shown.
      delete variables.after
      trades = []
      drawTape()
    },
  )
}

export const drawTape = onceAFrame(() => {
  message.hidden = trades.length > 0
  const priceDigits = Math.max(digits, ...trades.map(({ price }) => digitsOf(price)))
  const sizeDigits = Math.max(0, ...trades.map(({ size }) => digitsOf(size))) // So that their points are in line.
  trades.forEach((trade, at) => {
    const row = body.children[at] ?? body.appendChild(element('tr', {}, element('td'), element('td'), element('td')))
    const [time, price, size] = row.children
    write(time!, clock(Date.parse(trade.timestamp) / 1000))
    write(price!, printed(trade.price, priceDigits))
    write(size!, printed(trade.size, sizeDigits))
    price!.className = trade.side === 'BUY' ? 'up' : 'down'
  })
  while (body.children.length > trades.length) body.lastElementChild!.remove()
})

function write(cell: Element, text: string): void {
  if (cell.textContent !== text) cell.textContent = text
}
