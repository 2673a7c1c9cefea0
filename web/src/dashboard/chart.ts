// The candlesticks, the volume below them, and the stretches of which trades are missing.
import {
  CandlestickSeries,
  createChartEx,
  HistogramSeries,
  type IChartApiBase,
  type ISeriesApi,
  type Time,
  type UTCTimestamp,
} from 'lightweight-charts'
import type { Bar, Candles } from './candles'
import { printed } from './decimal'
import { onceAFrame } from './dom'
import { WallClockScale } from './scale'
import { colour } from './theme'

const NEAR = 50 // Bars left of the view that are still loaded when older ones are asked for.
const BAR_WIDTH = 8 // Pixels of a bar to begin with.
const ROOM = 6 // Bars right of the newest.
const STEPS = 8 // Digits after the point that the library's own scale tells apart; prices with more are drawn larger.

const at = (time: number): UTCTimestamp => time as UTCTimestamp

export class Chart {
  private chart!: IChartApiBase<Time>
  private prices!: ISeriesApi<'Candlestick', Time>
  private volumes!: ISeriesApi<'Histogram', Time>
  private missing!: ISeriesApi<'Histogram', Time>
  private candles: Candles | undefined
  private digits = 2
  private dirty: Map<number, Bar> | 'all' = 'all'
  private newest: number | undefined // The last bar that is drawn.
  private under: number | undefined // Of the bar under the crosshair.
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
    const range = this.chart.timeScale().getVisibleLogicalRange()
    this.dirty = 'all'
    this.build()
    this.drawNow()
    if (range) this.chart.timeScale().setVisibleLogicalRange(range)
  }

  /** Move the crosshair by so many bars, from the newest when it is nowhere, and keep it in view. */
  step(by: number): void {
    const bars = this.candles?.bars
    if (!bars?.length) return
    const from = bars.findIndex((bar) => bar.time === this.under)
    const to = Math.min(bars.length - 1, Math.max(0, (from < 0 ? bars.length - 1 : from) + by))
    const range = this.chart.timeScale().getVisibleLogicalRange()
    const place = this.placeOf(bars[to]!)
    if (range && (place < range.from + 1 || place > range.to - 1)) this.pan(by / (range.to - range.from))
    this.chart.setCrosshairPosition(bars[to]!.close * this.scale, at(bars[to]!.time), this.prices)
    this.point(bars[to]!.time)
  }

  /** Move by a part of what is in view: a negative one to the past. */
  pan(part: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange()
    if (!range) return
    // Not past the oldest bar; who is there already stays.
    const by = Math.max((range.to - range.from) * part, Math.min(0, -1 - range.from))
    if (range.from < NEAR) void this.candles?.older()
    this.chart.timeScale().setVisibleLogicalRange({ from: range.from + by, to: range.to + by })
  }

  /** Show so many times as many bars, the right end where it is. */
  zoom(factor: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange()
    if (range) this.chart.timeScale().setVisibleLogicalRange({ from: range.to - (range.to - range.from) * factor, to: range.to })
  }

  /** Back to the newest bar, and no crosshair. */
  toNewest(): void {
    this.chart.clearCrosshairPosition()
    this.point(undefined)
    this.chart.timeScale().scrollToRealTime()
  }

  /** Draw a bar in the next frame; without one, all. */
  change(bar?: Bar): void {
    if (!bar) this.dirty = 'all'
    else if (this.dirty !== 'all') this.dirty.set(bar.time, bar)
    this.draw()
  }

  private build(): void {
    this.chart?.remove()
    this.newest = undefined
    this.scale = 10 ** Math.max(0, this.digits - STEPS)
    this.faint = { up: colour('--up-faint'), down: colour('--down-faint') }
    const text = colour('--quiet')
    const grid = colour('--grid')
    this.chart = createChartEx(this.container, new WallClockScale(), {
      autoSize: true,
      handleScroll: { vertTouchDrag: false }, // A thumb that moves up or down scrolls the page.
      layout: {
        background: { color: colour('--panel') },
        textColor: text,
        fontSize: 11,
        fontFamily: getComputedStyle(document.body).fontFamily,
      },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
      crosshair: {
        mode: 0,
        vertLine: { color: text, labelBackgroundColor: colour('--label') },
        horzLine: { color: text, labelBackgroundColor: colour('--label') },
      },
      rightPriceScale: { borderColor: grid, scaleMargins: { top: 0.08, bottom: 0.24 } },
      timeScale: { borderColor: grid, timeVisible: true, secondsVisible: true, rightOffset: ROOM },
    })
    this.missing = this.chart.addSeries(HistogramSeries, {
      priceScaleId: 'missing',
      color: colour('--gap'),
      autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }),
      lastValueVisible: false,
      priceLineVisible: false,
    })
    this.missing.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } })
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume',
      priceFormat: { type: 'volume' },
      lastValueVisible: false,
      priceLineVisible: false,
    })
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } })
    this.prices = this.chart.addSeries(CandlestickSeries, {
      upColor: colour('--up'),
      downColor: colour('--down'),
      wickUpColor: colour('--up'),
      wickDownColor: colour('--down'),
      borderVisible: false,
      priceFormat: {
        type: 'custom',
        minMove: 10 ** -Math.min(this.digits, STEPS),
        formatter: (price: number) => printed((price / this.scale).toFixed(this.digits), this.digits),
      },
    })
    this.chart.subscribeCrosshairMove(({ time }) => this.point(time as number | undefined))
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      const newest = this.candles?.bars.at(-1)
      if (!range || !newest) return
      if (range.from < NEAR) void this.candles?.older()
      this.left(range.to < this.placeOf(newest))
    })
  }

  /** Where a bar is on the time scale, which counts the empty places of missing trades too. */
  private placeOf(bar: Bar): number {
    return this.chart.timeScale().timeToIndex(at(bar.time), true) ?? 0
  }

  private point(time: number | undefined): void {
    this.under = time
    this.pointed(time)
  }

  private drawNow(): void {
    if (!this.candles) return
    const changes = this.dirty
    this.dirty = new Map()
    if (changes === 'all') this.drawAll(this.candles.bars)
    else {
      for (const bar of [...changes.values()].sort((a, b) => a.time - b.time)) {
        const isOlder = this.newest !== undefined && bar.time < this.newest
        this.prices.update(this.price(bar), isOlder)
        this.volumes.update(this.volume(bar), isOlder)
        if (!isOlder) this.newest = bar.time
      }
    }
  }

  private drawAll(bars: Bar[]): void {
    const gaps = this.gapBars()
    if (gaps.length || this.missing.data().length) this.missing.setData(gaps) // Which is as dear as with bars.
    this.volumes.setData(bars.map((bar) => this.volume(bar)))
    this.prices.setData(bars.map((bar) => this.price(bar)))
    if (this.newest === undefined && bars.length) {
      const to = this.placeOf(bars.at(-1)!) + ROOM
      this.chart.timeScale().setVisibleLogicalRange({ from: to - this.container.clientWidth / BAR_WIDTH, to })
    }
    this.newest = bars.at(-1)?.time
  }

  private price({ time, open, high, low, close }: Bar) {
    const { scale } = this
    return { time: at(time), open: open * scale, high: high * scale, low: low * scale, close: close * scale }
  }

  private volume({ time, open, close, volume }: Bar) {
    return { time: at(time), value: volume, color: close < open ? this.faint.down : this.faint.up }
  }

  private gapBars() {
    const oldest = this.candles?.bars[0]?.time ?? 0
    const times = [...(this.candles?.missing ?? [])].filter((time) => time >= oldest)
    return times.sort((a, b) => a - b).map((time) => ({ time: at(time), value: 1 }))
  }
}
