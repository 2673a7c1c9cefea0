// A word about what happened by itself, for as long as it takes to read.
import { byId } from './dom'

const READ = 15_000 // Milliseconds.

const place = byId('notice')
let later: ReturnType<typeof setTimeout> | undefined

export function notice(text: string): void {
  place.textContent = text
  place.hidden = false
  clearTimeout(later)
  later = setTimeout(() => (place.hidden = true), READ)
}
