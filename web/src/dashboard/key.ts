// The API key, for servers that want one: kept for this tab alone, and asked for when the server refuses.
import { byId } from './dom'

const dialog = byId<HTMLDialogElement>('key-dialog')
const field = byId<HTMLInputElement>('key')

export function apiKey(): string | null {
  return sessionStorage.getItem('key')
}

/** Ask for a key. Never resolves: with a key the page begins anew. */
export function wantKey(why: string): Promise<never> {
  byId('key-why').textContent = why
  if (!dialog.open) {
    field.value = apiKey() ?? ''
    dialog.showModal()
  }
  return new Promise(() => {})
}

byId('key-form').addEventListener('submit', () => {
  const key = field.value.trim()
  if (key) sessionStorage.setItem('key', key)
  else sessionStorage.removeItem('key')
  location.reload()
})
byId('key-cancel').addEventListener('click', () => dialog.close())
byId('key-button').addEventListener('click', () => void wantKey('Kept in this tab until it is closed. Empty: none.'))
