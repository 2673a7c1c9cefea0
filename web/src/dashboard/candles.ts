// One series as it is known here: its history, and every change that is told since.
import { CandleEvents, ExactCandles, History, type CandleEvent } from './api'
import type { Choice } from './choice'
import { ask, follow, onState, type Refusal } from './connection'
import { secondsOf } from './timeframes'

const PAGE = 1000
const MOST = 10_000 // Candles of a page, as the server has it.
const MISSING = 2000 // Candles of one gap that are shown, at most.
const AGAIN = 3000 // Milliseconds until what failed is tried again.

/** For drawing: floats, and the start in seconds since 1970. */
export interface Bar {
  time: number
  open: number
  high: number
  low: number
  close: number
  volume: number
}

/** As the server printed it, to be read. */
export type Exact = NonNullable<CandleEvent['candle']>

export interface Audience {
  /** All is to be drawn anew. */
  loaded(): void
  /** A bar came behind the others, or one of them changed. */
  moved(bar: Bar): void
  /** The exact values of more candles are known. */
  told(): void
  /** Nobody collects the series, and nothing is stored of it. */
  uncollected(): void
  /** The server's data are others than those that were shown: all begins anew. */
  replaced(): void
  /** Nothing can be shown, and why; it is tried again. */
  failed(refused: Refusal): void
}

const seconds = (instant: string): number => Date.parse(instant) / 1000
const instant = (seconds: number): string => new Date(seconds * 1000).toISOString()

export class Candles {
  readonly bars: Bar[] = []
  readonly exact = new Map<number, Exact>()
  /** Starts, in seconds since 1970, of candles of which trades are missing. */
  readonly missing = new Set<number>()
  isLoaded = false
  private isWhole = false // Nothing is older than what is loaded.
  private since = 0 // All that starts from here on is loaded, in seconds since 1970.
  private begun = 0 // Times that all was loaded anew.
  private isLoading = false
  private meanwhile: (() => void)[] = [] // Changes of what the page may hold that is being loaded.
  private stopped = false
  private stops: (() => void)[] = []
  private later: ReturnType<typeof setTimeout> | undefined

  constructor(
    readonly choice: Choice,
    private readonly audience: Audience,
  ) {
    void this.begin()
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.later)
    this.silence()
  }

  /** Load the page before what is loaded, if there is one. */
  async older(): Promise<void> {
    if (!this.isLoaded || this.isWhole || this.isLoading) return
    const { begun } = this
    this.isLoading = true
    try {
      // As many as there are: what is loaded is drawn anew with each page, so that there may not be many.
      const last = Math.min(Math.max(this.bars.length, PAGE), MOST)
      const { bars, isWhole } = await this.page(instant(this.since), last)
      if (this.stopped || begun !== this.begun) return
      this.bars.unshift(...bars)
      this.reached(bars, isWhole)
      // The page may be of before them or after; told once more they make the same of both.
      for (const change of this.meanwhile) change()
      this.audience.loaded()
    } catch {
      // The connection tells that the server is gone; scrolling on asks again.
    } finally {
      this.isLoading = false
      this.meanwhile = []
    }
  }

  /** Ask for the exact values of the candles around `time`. */
  async explain(time: number): Promise<void> {
    const around = 100 * secondsOf(this.choice.timeframe)
    const range = { start: instant(Math.max(0, time - around)), end: instant(time + around) }
    const { candles } = await ask(ExactCandles, { ...this.choice, ...range })
    const there = new Set(this.bars.map((bar) => bar.time)) // What is not was deleted meanwhile.
    for (const candle of candles?.nodes ?? []) {
      const time = seconds(candle.startTime)
      if (there.has(time) && !this.exact.has(time)) this.exact.set(time, candle) // What came live is never older.
    }
    if (!this.stopped) this.audience.told()
  }

  /** What was loaded is all up to the page of these bars. */
  private reached(bars: Bar[], isWhole: boolean): void {
    this.since = bars[0]?.time ?? this.since
    this.isWhole = isWhole
  }

  private async page(end?: string, last = PAGE): Promise<{ bars: Bar[]; isWhole: boolean; liveCursor: string }> {
    const { candleSeries } = await ask(History, { ...this.choice, end, last })
    const { time, open, high, low, close, volume, truncated, liveCursor } = candleSeries!
    const bars = time.map((ms, at) => ({
      time: ms / 1000,
      open: open[at]!,
      high: high[at]!,
      low: low[at]!,
      close: close[at]!,
      volume: volume[at]!,
    }))
    return { bars, isWhole: !truncated, liveCursor }
  }

  private async begin(): Promise<void> {
    try {
      const { bars, isWhole, liveCursor } = await this.page()
      if (this.stopped) return
      this.begun++
      this.bars.splice(0, Infinity, ...bars)
      this.reached(bars, isWhole)
      this.exact.clear()
      this.missing.clear()
      this.isLoaded = true
      this.audience.loaded()
      this.listen(liveCursor)
    } catch (error) {
      this.beginAgain(error as Refusal)
    }
  }

  private beginAgain(refused: Refusal): void {
    if (this.stopped) return
    this.audience.failed(refused)
    this.later = setTimeout(() => void this.begin(), AGAIN)
  }

  private listen(after: string): void {
    const variables = { ...this.choice, after }
    const unfollow = follow(
      CandleEvents,
      variables,
      ({ candles: event }) => {
        variables.after = event.cursor
        this.hear(event)
      },
      (refused) => {
        if (refused.code === 'CURSOR_EXPIRED') {
          this.silence()
          this.audience.replaced()
          void this.begin()
        } else if (refused.code === 'BAD_USER_INPUT') {
          this.silence()
          this.beginAgain(refused)
        }
      },
    )
    const unlisten = onState((state) => {
      if (state !== 'connected' || !this.missing.size) return
      this.missing.clear() // Whoever comes back is told anew of what is still missing.
      this.audience.loaded()
    })
    this.stops = [unfollow, unlisten]
  }

  private silence(): void {
    for (const stop of this.stops) stop()
    this.stops = []
  }

  private hear({ kind, candle, gap }: CandleEvent): void {
    if (kind === 'NOT_COLLECTED') this.audience.uncollected()
    if (gap && kind === 'DELETED') this.remove(seconds(gap.start), seconds(gap.end))
    else if (gap) {
      const [end, length] = [seconds(gap.end), secondsOf(this.choice.timeframe)]
      for (let time = Math.max(seconds(gap.start), end - MISSING * length); time < end; time += length) this.missing.add(time)
      this.audience.loaded()
    }
    if (candle) {
      const time = seconds(candle.startTime)
      // Recovered: a candle in a gap was the exchange's own until then.
      if (candle.isFinal && candle.origin === 'TRADES' && this.missing.delete(time)) this.audience.loaded()
      this.exact.set(time, candle)
      this.put({
        time,
        open: Number(candle.open),
        high: Number(candle.high),
        low: Number(candle.low),
        close: Number(candle.close),
        volume: Number(candle.volume),
      })
    }
  }

  private remove(start: number, end: number): void {
    if (this.isLoading) this.meanwhile.push(() => this.forget(start, end))
    this.forget(start, end)
    this.audience.loaded()
    const last = this.bars.at(-1)
    if (last && !this.exact.has(last.time)) void this.explain(last.time).catch(() => {})
    if (this.bars.length < PAGE) void this.older() // With few left nobody may scroll.
  }

  private forget(start: number, end: number): void {
    const kept = this.bars.filter(({ time }) => time < start || time >= end)
    this.bars.splice(0, Infinity, ...kept)
    for (const time of this.exact.keys()) if (time >= start && time < end) this.exact.delete(time)
  }

  private put(bar: Bar): void {
    if (bar.time < this.since && !this.isWhole) {
      // It comes with its page, but perhaps not with the one that is being loaded.
      if (this.isLoading) this.meanwhile.push(() => this.put(bar))
      return
    }
    const { bars } = this
    let at = bars.length
    while (at > 0 && bars[at - 1]!.time >= bar.time) at-- // From the end: nearly always the last one.
    if (bars[at]?.time === bar.time) bars[at] = bar
    else if (at === bars.length) bars.push(bar)
    else {
      bars.splice(at, 0, bar)
      return this.audience.loaded()
    }
    this.audience.moved(bar)
  }
}
