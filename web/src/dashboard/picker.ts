// Choosing what to look at: a market by search, and one of its timeframes.
import { Instruments } from './api'
import { choose, chosen, type Choice } from './choice'
import { ask } from './connection'
import { arrows, byId, element } from './dom'
import { symbols, timeframesOf, withTimeframe } from './markets'

const USUAL = ['1m', '5m', '15m', '1h', '4h', '1d'] // Offered where nothing is stored or collected.
const PAUSE = 150 // Milliseconds without a key until the server is asked.

type Found = Omit<Choice, 'timeframe'>

const dialog = byId<HTMLDialogElement>('picker')
const search = byId<HTMLInputElement>('search')
const list = byId('found')
const message = byId('picker-message')
let later: ReturnType<typeof setTimeout> | undefined

/** Print the choice on the buttons of the head. */
export function showChoice(choice: Choice): void {
  byId('market').textContent = choice.symbol
  const there = timeframesOf(choice)
  const group = byId('timeframes')
  const hadFocus = group.contains(document.activeElement)
  group.replaceChildren(
    ...(there.length ? there : USUAL).map((timeframe) =>
      element(
        'button',
        { type: 'button', 'aria-pressed': String(timeframe === choice.timeframe), click: () => choose({ ...choice, timeframe }) },
        timeframe,
      ),
    ),
  )
  if (hadFocus) group.querySelector<HTMLElement>('[aria-pressed=true]')?.focus()
}

export function openPicker(): void {
  if (document.querySelector('dialog[open]')) return
  search.value = ''
  dialog.showModal()
  void find()
}

/** Letters and digits alone: BTC/USDT and btcusdt mean BTC-USDT. */
const bare = (symbol: string): string => symbol.toUpperCase().replace(/[^\p{L}\p{N}]/gu, '')

async function find(): Promise<void> {
  const wanted = search.value.trim()
  const known: Found[] = symbols().filter(({ symbol }) => bare(symbol).includes(bare(wanted)))
  draw(known, [])
  if (!wanted) return
  try {
    const { instruments } = await ask(Instruments, { search: wanted })
    if (search.value.trim() !== wanted) return
    const others = (instruments?.nodes ?? []).filter(({ symbol }) => !symbols().some((market) => market.symbol === symbol))
    draw(known, others)
  } catch (error) {
    message.textContent = (error as Error).message
  }
}

function draw(known: Found[], others: Found[]): void {
  list.replaceChildren(...known.map((found) => row(found, timeframesOf(found).join(' '))), ...others.map((found) => row(found, 'no candles')))
  message.textContent = known.length + others.length ? '' : 'No market of that name. Try a part of it, such as BTC.'
}

function row(found: Found, note: string): HTMLElement {
  const pick = () => {
    dialog.close()
    choose(withTimeframe(found, chosen()?.timeframe ?? '1m'))
  }
  const text = found.exchange === 'okx' ? found.symbol : `${found.symbol} (${found.exchange})`
  return element('li', {}, element('button', { type: 'button', click: pick }, text, element('span', { class: 'quiet' }, note)))
}

arrows(list, 'button')
search.addEventListener('input', () => {
  clearTimeout(later)
  later = setTimeout(() => void find(), PAUSE)
})
search.addEventListener('keydown', (event) => {
  const first = list.querySelector<HTMLElement>('button')
  if (event.key === 'ArrowDown') first?.focus()
  else if (event.key === 'Enter') first?.click()
  else return
  event.preventDefault()
})
dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close() // The backdrop.
})
byId('market').addEventListener('click', openPicker)
