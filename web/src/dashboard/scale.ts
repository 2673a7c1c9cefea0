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

function weight(before: number, now: number): number {
  const [a, b] = [onTheWall(before), onTheWall(now)]
  if (a.getUTCFullYear() !== b.getUTCFullYear()) return YEAR
  if (a.getUTCMonth() !== b.getUTCMonth()) return MONTH
  if (a.getUTCDate() !== b.getUTCDate()) return DAY
  const [x, y] = [a.getTime() / 1000, b.getTime() / 1000]
  return WITHIN_A_DAY.find(([length]) => Math.floor(x / length) !== Math.floor(y / length))?.[1] ?? SECOND
}

export class WallClockScale extends defaultHorzScaleBehavior() {
  override fillWeightsForPoints(points: Points, start: number): void {
    for (let index = start; index < points.length; index++) {
      const now = this.secondsOf(points[index]!.time)
      const before = index ? this.secondsOf(points[index - 1]!.time) : now - 1
      ;(points[index] as { timeWeight: Weight }).timeWeight = weight(before, now) as Weight
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
