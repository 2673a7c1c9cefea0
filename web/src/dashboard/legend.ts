// What the candle under the crosshair, or else the newest, says exactly.
import type { Candles } from './candles'
import { printed } from './decimal'
import { byId, element, onceAFrame } from './dom'
import { moment } from './zone'

const REST = 80 // Milliseconds that the crosshair stays before the server is asked.

const place = byId('legend')
const FIELDS = ['open', 'high', 'low', 'close', 'volume'] as const
// Outputs tell every change aloud, of which there are many a second: what is read by keyboard is told instead.
const values = FIELDS.map(() => element('output', { 'aria-live': 'off' }))
const told = byId('chart-told')
const when = element('time')
const note = element('span', { class: 'quiet' })
place.replaceChildren(
  when,
  ...FIELDS.map((name, at) =>
    element('span', {}, element('abbr', { title: name }, name === 'volume' ? 'Vol' : name[0]!.toUpperCase()), values[at]!),
  ),
  note,
)

export class Legend {
  private candles: Candles | undefined
  private digits = 2
  private pointed: number | undefined
  private isRead = false
  private asking: ReturnType<typeof setTimeout> | undefined
  readonly draw = onceAFrame(() => this.drawNow())

  show(candles: Candles, digits: number): void {
    this.candles = candles
    this.digits = digits
    this.pointed = undefined
    this.draw()
  }

  /** The next candle that is pointed at is told aloud. */
  read(): void {
    this.isRead = true
  }

  point(time: number | undefined): void {
    if (time === this.pointed) return
    this.pointed = time
    this.draw()
  }

  private drawNow(): void {
    clearTimeout(this.asking)
    const { candles } = this
    const time = this.pointed ?? candles?.bars.at(-1)?.time
    place.hidden = time === undefined
    if (!candles || time === undefined) return
    const exact = candles.exact.get(time)
    const isThere = candles.bars.some((bar) => bar.time === time)
    when.textContent = moment(time)
    FIELDS.forEach((name, at) => {
      values[at]!.textContent = exact ? printed(exact[name], name === 'volume' ? 0 : this.digits) : isThere ? '…' : '–'
    })
    place.classList.toggle('down', exact !== undefined && Number(exact.close) < Number(exact.open))
    note.className = candles.missing.has(time) ? 'warn' : 'quiet'
    if (candles.missing.has(time)) note.textContent = 'trades are missing here'
    else if (!exact) note.textContent = ''
    else if (!exact.isFinal) note.textContent = 'forming'
    else note.textContent = exact.tradeCount === null ? exact.origin.toLowerCase() : `${printed(String(exact.tradeCount))} trades`
    if (this.isRead && this.pointed !== undefined && (exact || !isThere)) {
      this.isRead = false
      told.textContent = [when, ...place.querySelectorAll('span')].map((part) => part.textContent).join(' ')
    }
    if (!exact && isThere) this.asking = setTimeout(() => void candles.explain(time).catch(() => {}), REST)
  }
}
