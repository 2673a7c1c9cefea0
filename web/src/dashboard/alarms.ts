// Above the strip of health: what a collector can't store, and what the exchange refuses to send.
import type { Health } from './api'
import { byId, element } from './dom'
import { minuteOf } from './zone'

const NAMED = 3 // Symbols that are named at once; which channels of which are refused is told on demand.

type Feed = Health['feeds'][number]
type Refused = Feed & { refusal: NonNullable<Feed['refusal']> }

const waiting = byId('waiting')
const refused = byId('refused')
const why = byId<HTMLDetailsElement>('refused-why')
const list = byId('refused-list')

export function drawAlarms(health: Health): void {
  const batch = health.waiting
  write(waiting, batch ? `A collector has stored nothing since ${minuteOf(batch.since)}: ${batch.reason}` : '')
  const all = health.feeds.filter((feed): feed is Refused => Boolean(feed.refusal))
  write(refused, all.length ? `The exchange refuses channels of ${named(all)}` : '')
  why.hidden = !all.length
  if (!all.length) why.open = false
  const reasons = all.map(reason)
  const shown = [...list.children].map((row) => row.textContent)
  // Only when they are others: what is selected in it stays.
  if (reasons.join('\n') !== shown.join('\n')) list.replaceChildren(...reasons.map((text) => element('li', {}, text)))
}

/** By symbol: while one channel after the other is tried for it, the same is told. */
function named(feeds: Refused[]): string {
  const symbols = [...new Set(feeds.map(({ symbol }) => symbol))]
  const first = symbols.slice(0, NAMED).join(', ')
  return symbols.length > NAMED ? `${first} and ${symbols.length - NAMED} more` : first
}

function reason(feed: Refused): string {
  const { code, message, since } = feed.refusal
  return `${feed.exchange}, ${feed.channel} of ${feed.symbol}, since ${minuteOf(since)}: ${message} (${code})`
}

/** Told aloud only when it changes. */
function write(place: HTMLElement, text: string): void {
  if (place.textContent !== text) place.textContent = text
}
