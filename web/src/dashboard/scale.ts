// The chart's time scale, by the clock of zone.ts: days begin at the viewer's midnight, not at that of UTC.
import { defaultHorzScaleBehavior, type IHorzScaleBehavior, type Time } from 'lightweight-charts'
import { moment, month, onTheWall } from './zone'

type Behavior = IHorzScaleBehavior<Time>
type Points = Parameters<Behavior['fillWeightsForPoints']>[0]
type Item = Parameters<Behavior['formatHorzItem']>[0]
type Weight = Points[number]['timeWeight']

// The library's weights: the heavier a mark, the sooner it is shown when there is little room.
const YEAR = 70
const MONTH = 60
const DAY = 50
const WITHIN_A_DAY = [[43_200, 33], [21_600, 32], [10_800, 31], [3600, 30], [1800, 22], [300, 21], [60, 20]] as const
const SECOND = 10
const QUARTER = 900 // Seconds.

/** Of a mark at `now`, when the one on its left is at `before`: both in seconds on the wall. */
function weight(before: number, now: number): number {
  const isCrossed = (length: number) => Math.floor(before / length) !== Math.floor(now / length)
  if (!isCrossed(86_400)) return WITHIN_A_DAY.find(([length]) => isCrossed(length))?.[1] ?? SECOND
  const [a, b] = [new Date(before * 1000), new Date(now * 1000)]
  if (a.getUTCFullYear() !== b.getUTCFullYear()) return YEAR
  return a.getUTCMonth() !== b.getUTCMonth() ? MONTH : DAY
}

/** Seconds on the wall of one time after the other. The zone is asked once a quarter of an hour: clocks change at one. */
function wallClock(): (seconds: number) => number {
  let quarter: number | undefined
  let ahead = 0
  return (seconds) => {
    const now = Math.floor(seconds / QUARTER)
    if (now !== quarter) ahead = onTheWall(seconds).getTime() / 1000 - seconds
    quarter = now
    return seconds + ahead
  }
}

export class WallClockScale extends defaultHorzScaleBehavior() {
  override fillWeightsForPoints(points: Points, start: number): void {
    // For every bar that is loaded, each time that older ones are.
    const onWall = wallClock()
    let before = start ? onWall(this.secondsOf(points[start - 1]!.time)) : undefined
    for (let index = start; index < points.length; index++) {
      const now = onWall(this.secondsOf(points[index]!.time))
      ;(points[index] as { timeWeight: Weight }).timeWeight = weight(before ?? now - 1, now) as Weight
      before = now
    }
  }

  override formatTickmark(mark: Parameters<Behavior['formatTickmark']>[0]): string {
    const date = onTheWall(this.secondsOf(mark.time))
    if (mark.weight >= YEAR) return String(date.getUTCFullYear())
    if (mark.weight >= MONTH) return month(date)
    if (mark.weight >= DAY) return `${date.getUTCDate()} ${month(date)}`
    return date.toISOString().slice(11, mark.weight > SECOND ? 16 : 19)
  }

  override formatHorzItem(item: Item): string {
    return moment(this.secondsOf(item))
  }

  private secondsOf(item: Item): number {
    return this.key(item) as number // All of our times are given as seconds.
  }
}
