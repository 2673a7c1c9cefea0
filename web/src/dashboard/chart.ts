// The candlesticks, the volume below them, and the stretches of which trades are missing.
import type { LogicalRange, Point, UTCTimestamp } from 'lightweight-charts'
import type { Bar, Candles } from './candles'
import { createCanvas, scaleOf, type Canvas } from './canvas'
import { onceAFrame } from './dom'
import { colour } from './theme'

const NEAR = 50 // Bars beside the view that are still drawn when others are drawn, or older ones asked for.
const DRAWN = 6000 // Bars that the library has at most: each redrawing takes as long as it has bars.
const BAR_WIDTH = 8 // Pixels of a bar to begin with.
const ROOM = 6 // Bars right of the newest.

/** A bar in the middle with its place, and the range of places. */
interface View {
  time: number
  place: number
  from: number
  to: number
}

const at = (time: number): UTCTimestamp => time as UTCTimestamp

export class Chart {
  private canvas!: Canvas
  private candles: Candles | undefined
  private digits = 2
  private dirty: Map<number, Bar> | 'all' = 'all'
  private oldest: number | undefined // The first bar that is drawn.
  private newest: number | undefined // The last bar that is drawn.
  private aim: LogicalRange | undefined // What is to be in view with the next frame.
  private isAtEnd = true // No bar is newer than those that are drawn.
  private isHeld = false // By a pointer, which the library moves from where it took hold.
  private under: number | undefined // Of the bar under the crosshair.
  private cross: Point | undefined // Where the crosshair is, in pixels.
  private isUnsettled = false // Other bars are drawn than what is in view counts places of.
  private scale = 1 // What prices are drawn times.
  private faint = { up: '', down: '' }
  private readonly draw = onceAFrame(() => this.drawNow())

  /**
   * `pointed` hears the time of the candle under the crosshair, or undefined; `left` whether the newest bar is out of
   * view.
   */
  constructor(
    private readonly container: HTMLElement,
    private readonly pointed: (time: number | undefined) => void,
    private readonly left: (isLeft: boolean) => void,
  ) {
    this.build()
    // Captured: the library stops some of these events.
    const hold = (isHeld: boolean) => () => {
      this.isHeld = isHeld
      if (!isHeld) this.follow()
    }
    container.addEventListener('pointerdown', hold(true), true)
    for (const end of ['pointerup', 'pointercancel']) window.addEventListener(end, hold(false), true)
  }

  /** Show other candles, with so many digits after the point, from their newest. */
  show(candles: Candles, digits: number): void {
    this.candles = candles
    this.digits = digits
    this.dirty = 'all'
    this.build()
  }

  /** The clock or the colours are others: begin anew at the same place. */
  rebuild(): void {
    const view = this.view()
    this.dirty = 'all'
    this.build()
    this.drawNow(view)
  }

  /** Move the crosshair by so many bars, from the newest when it is nowhere, and keep it in view. */
  step(by: number): void {
    const bars = this.candles?.bars
    if (!bars?.length) return
    const from = bars.findIndex((bar) => bar.time === this.under)
    if (from < 0) this.drawNewest()
    const to = Math.min(bars.length - 1, Math.max(0, (from < 0 ? bars.length - 1 : from) + by))
    const { range } = this
    const place = this.placeOf(bars[to]!.time)
    if (range && (place < range.from + 1 || place > range.to - 1)) this.pan(by / (range.to - range.from))
    this.cross = undefined
    this.point(bars[to]!.time)
    this.crossAt(bars[to]!)
  }

  /** Move by a part of what is in view: a negative one to the past. */
  pan(part: number): void {
    const { range } = this
    if (!range) return
    // Not past the oldest bar; who is there already stays.
    const by = Math.max((range.to - range.from) * part, Math.min(0, -1 - range.from))
    this.look(range.from + by, range.to + by)
  }

  /** Show so many times as many bars, the right end where it is. */
  zoom(factor: number): void {
    const { range } = this
    if (range) this.look(range.to - (range.to - range.from) * factor, range.to)
  }

  /** Back to the newest bar, and no crosshair. */
  toNewest(): void {
    this.canvas.chart.clearCrosshairPosition()
    this.cross = undefined
    this.point(undefined)
    this.drawNewest()
    const { range } = this
    if (!range || this.newest === undefined) return
    const to = this.placeOf(this.newest) + ROOM
    this.look(to - (range.to - range.from), to)
  }

  /** Draw a bar in the next frame; without one, all. */
  change(bar?: Bar): void {
    if (!bar) this.dirty = 'all'
    else if (this.dirty !== 'all') this.dirty.set(bar.time, bar)
    this.draw()
  }

  private build(): void {
    this.canvas?.chart.remove()
    this.oldest = this.newest = this.aim = undefined
    this.scale = scaleOf(this.digits)
    this.faint = { up: colour('--up-faint'), down: colour('--down-faint') }
    this.canvas = createCanvas(this.container, this.digits, ROOM)
    this.canvas.chart.subscribeCrosshairMove(({ time, point, sourceEvent }) => {
      if (!this.isUnsettled || sourceEvent) this.cross = point
      if (!this.isUnsettled) this.point(time as number | undefined)
    })
    this.canvas.chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.follow())
  }

  /** Have what is beside the view drawn, and loaded. */
  private follow(): void {
    const { range } = this
    const bars = this.candles?.bars
    if (!range || !bars?.length || this.newest === undefined) return
    const isFirst = bars[0]!.time >= this.oldest!
    const isNearEnd = !this.isAtEnd && range.to > this.placeOf(this.newest) - NEAR
    if (range.from < NEAR && isFirst) void this.candles?.older()
    if ((isNearEnd || (range.from < NEAR && !isFirst)) && !this.isHeld) this.change()
    this.left(!this.isAtEnd || range.to < this.placeOf(this.newest))
  }

  private drawNewest(): void {
    if (this.isAtEnd) return
    this.oldest = this.newest = undefined
    this.dirty = 'all'
    this.drawNow()
  }

  /** What is in view, or will be with the next frame. */
  private get range(): LogicalRange | null {
    return this.aim ?? this.canvas.chart.timeScale().getVisibleLogicalRange()
  }

  /** Have other places in view, from the library's next frame on. */
  private look(from: number, to: number): void {
    const aim = { from, to } as LogicalRange
    this.aim = aim
    this.canvas.chart.timeScale().setVisibleLogicalRange(aim)
    requestAnimationFrame(() => {
      if (this.aim === aim) this.aim = undefined
    })
  }

  private view(): View | undefined {
    const { range } = this
    const bars = this.candles?.bars
    if (!range || !bars?.length || this.newest === undefined) return undefined
    const [first, last] = [indexAt(bars, this.oldest!), indexAt(bars, this.newest)]
    const { time } = bars[Math.max(0, Math.min(first + Math.round((range.from + range.to) / 2), last, bars.length - 1))]!
    return { time, place: this.placeOf(time), from: range.from, to: range.to }
  }

  /** Where the bar of this time is on the time scale, which counts the empty places of missing trades too. */
  private placeOf(time: number): number {
    return this.canvas.chart.timeScale().timeToIndex(at(time), true) ?? 0
  }

  /** Have the crosshair at a bar, when it is drawn where it is to be: the library reckons with pixels. */
  private crossAt(bar: Bar): void {
    this.isUnsettled = this.aim !== undefined
    if (this.isUnsettled) requestAnimationFrame(() => this.crossAt(bar))
    else this.canvas.chart.setCrosshairPosition(bar.close * this.scale, at(bar.time), this.canvas.prices)
  }

  private point(time: number | undefined): void {
    this.under = time
    this.pointed(time)
  }

  private drawNow(view = this.view()): void {
    if (!this.candles) return
    const changes = this.dirty
    this.dirty = new Map()
    if (changes === 'all') this.drawAll(this.candles.bars, view)
    else {
      for (const bar of [...changes.values()].sort((a, b) => a.time - b.time)) {
        this.oldest ??= bar.time
        const isOlder = this.newest !== undefined && bar.time < this.newest
        if (bar.time < this.oldest || (!this.isAtEnd && bar.time > this.newest!)) continue // They come with the view.
        this.canvas.prices.update(this.price(bar), isOlder)
        this.canvas.volumes.update(this.volume(bar), isOlder)
        if (!isOlder) this.newest = bar.time
      }
    }
  }

  /** Draw bars around the view, which stays where it is, or the newest where there is none. */
  private drawAll(all: Bar[], view: View | undefined): void {
    this.isUnsettled = true
    const wide = view ? view.to - view.from : 0
    const most = Math.max(DRAWN, Math.ceil(3 * wide))
    const middle = view ? indexAt(all, view.time) : all.length
    const first = Math.max(0, Math.min(Math.round(middle - most / 2), all.length - most))
    // What is held counts its places from the last one.
    const end = this.isHeld && !this.isAtEnd ? indexAt(all, this.newest!) + 1 : all.length
    const bars = all.slice(first, Math.min(end, this.isHeld ? end : first + most))
    this.isAtEnd = bars.at(-1) === all.at(-1)
    this.oldest = bars[0]?.time
    const newest = bars.at(-1)?.time
    const gaps = this.gapBars(newest)
    if (gaps.length || this.canvas.missing.data().length) this.canvas.missing.setData(gaps) // Which is as dear as with bars.
    this.canvas.volumes.setData(bars.map((bar) => this.volume(bar)))
    this.canvas.prices.setData(bars.map((bar) => this.price(bar)))
    if (view) {
      const by = this.placeOf(view.time) - view.place
      // Often the library keeps it by itself.
      if (Math.abs((this.range?.to ?? Infinity) - view.to - by) > 0.01) this.look(view.from + by, view.to + by)
    } else if (newest !== undefined) {
      const to = this.placeOf(newest) + ROOM
      this.look(to - this.container.clientWidth / BAR_WIDTH, to)
    }
    this.newest = newest
    if (this.aim) requestAnimationFrame(() => this.settle())
    else this.settle()
  }

  /** Have the crosshair at the bar that is where it is: the library keeps it at its place, where another may be now. */
  private settle(): void {
    this.isUnsettled = false
    const time = this.cross && this.canvas.chart.timeScale().coordinateToTime(this.cross.x)
    const price = this.cross && this.canvas.prices.coordinateToPrice(this.cross.y)
    if (time && price != null) this.canvas.chart.setCrosshairPosition(price, time, this.canvas.prices)
  }

  private price({ time, open, high, low, close }: Bar) {
    const { scale } = this
    return { time: at(time), open: open * scale, high: high * scale, low: low * scale, close: close * scale }
  }

  private volume({ time, open, close, volume }: Bar) {
    return { time: at(time), value: volume, color: close < open ? this.faint.down : this.faint.up }
  }

  private gapBars(newest: number | undefined) {
    const last = this.isAtEnd || newest === undefined ? Infinity : newest
    const times = [...(this.candles?.missing ?? [])].filter((time) => time >= (this.oldest ?? 0) && time <= last)
    return times.sort((a, b) => a - b).map((time) => ({ time: at(time), value: 1 }))
  }
}

/** Of the first bar that starts at `time` or later. */
function indexAt(bars: Bar[], time: number): number {
  let [from, to] = [0, bars.length]
  while (from < to) {
    const half = (from + to) >> 1
    if (bars[half]!.time < time) from = half + 1
    else to = half
  }
  return from
}
