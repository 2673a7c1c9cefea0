// The API key, for servers that want one: kept for this tab alone, and asked for when the server refuses.
import { byId } from './dom'

const dialog = byId<HTMLDialogElement>('key-dialog')
const field = byId<HTMLInputElement>('key')

export function apiKey(): string | null {
  return sessionStorage.getItem('key')
}

let refused = ''
let tellRefused = (_why: string) => {}

/** Be told when the viewer puts off to enter the key that the server wants, and why it wants one. */
export function onNoKey(listener: (why: string) => void): void {
  tellRefused = listener
}

/** Ask for the key that the server wants, or another one. Never resolves: with a key the page begins anew. */
export function wantKey(why: string): Promise<never> {
  refused = apiKey() ? `This key is wrong: the server does not take it. ${why}` : `The server wants an API key. ${why}`
  return open(refused)
}

function open(why: string): Promise<never> {
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
dialog.addEventListener('close', () => {
  if (refused) tellRefused(refused)
})
byId('key-button').addEventListener('click', () => void open(refused || 'Kept in this tab until it is closed. Empty: none.'))
