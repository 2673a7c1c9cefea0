// The clock that times are shown by: the viewer's own zone, or UTC when asked for.

let utc = localStorage.getItem('zone') === 'utc'

export const isUtc = (): boolean => utc

export function useUtc(wanted: boolean): void {
  utc = wanted
  localStorage.setItem('zone', wanted ? 'utc' : 'local')
}

/** A date whose UTC fields are what the clock on the wall shows `seconds` after 1970; right over summer time, too. */
export function onTheWall(seconds: number): Date {
  const date = new Date(seconds * 1000)
  return utc ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
}

/** Such as 15:04:05. */
export function clock(seconds: number): string {
  return onTheWall(seconds).toISOString().slice(11, 19)
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

export function month(date: Date): string {
  return MONTHS[date.getUTCMonth()] ?? ''
}

/** Such as 24 Nov 2026 15:04, with seconds where they are not zero. */
export function moment(seconds: number): string {
  const date = onTheWall(seconds)
  const time = date.toISOString().slice(11, seconds % 60 ? 19 : 16)
  return `${date.getUTCDate()} ${month(date)} ${date.getUTCFullYear()} ${time}`
}

/** An instant of the server's to the minute, such as 15:04, with its date where that is not today's. */
export function minuteOf(instant: string): string {
  const seconds = Math.floor(Date.parse(instant) / 60_000) * 60
  const day = (at: number) => onTheWall(at).toISOString().slice(0, 10)
  return day(seconds) === day(Date.now() / 1000) ? clock(seconds).slice(0, 5) : moment(seconds)
}

/** What the clock is called: UTC, or the viewer's zone. */
export function zoneName(): string {
  return utc ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone
}
