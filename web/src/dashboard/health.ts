// The strip at the foot: whether this page hears the server, and whether the server hears the exchange and its database.
import { drawAlarms } from './alarms'
import { HealthEvents, type Health } from './api'
import { follow, onState } from './connection'
import { byId } from './dom'

const SLOW = 5000 // Milliseconds behind the exchange that are worth a colour.

let latest: Health | undefined

export function showHealth(): void {
  onState((state) => {
    tell('connection', state, state === 'connected' ? 'up' : 'warn')
    document.body.classList.toggle('away', state === 'reconnecting')
    byId('away').hidden = state !== 'reconnecting'
  })
  follow(HealthEvents, {}, ({ health }) => {
    latest = health
    drawHealth()
  })
}

/** Anew, also for another clock. */
export function drawHealth(): void {
  if (!latest) return
  drawAlarms(latest)
  const { feeds, database, bus } = latest
  const connected = feeds.filter((feed) => feed.connected).length
  if (feeds.length) tell('feeds', `feeds ${connected} of ${feeds.length}`, connected < feeds.length ? 'warn' : '')
  else tell('feeds', 'no collector: start “candleql collect”', 'warn')
  const slowest = feeds.reduce<Health['feeds'][number] | undefined>(
    (worst, feed) => ((feed.lagMs ?? 0) > (worst?.lagMs ?? -1) ? feed : worst),
    undefined,
  )
  const lag = slowest?.lagMs ?? null
  tell('lag', lag === null ? '' : `lag ${printedMs(lag)} (${slowest!.symbol})`, lag !== null && lag > SLOW ? 'warn' : '')
  const gaps = feeds.reduce((sum, feed) => sum + feed.openGaps, 0)
  if (gaps) tell('gaps', `${gaps} open gap${gaps > 1 ? 's' : ''}`, 'warn')
  else tell('gaps', feeds.length ? 'no gaps' : '')
  byId('gaps').title = feeds.filter((feed) => feed.openGaps).map((feed) => `${feed.symbol}: ${feed.openGaps}`).join('\n')
  if (database.connected) tell('database', `database ${database.latencyMs === null ? '' : printedMs(database.latencyMs ?? 0)}`)
  else tell('database', 'database is away', 'down')
  tell('bus', bus.connected ? '' : 'news of writes is late', 'down')
}

function printedMs(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`
}

function tell(id: string, text: string, tone = ''): void {
  const place = byId(id)
  if (place.textContent !== text) place.textContent = text // Told aloud only when it changes.
  place.className = tone
}
