// Light or dark: as the system says, until the viewer says otherwise.
import { byId } from './dom'

const system = matchMedia('(prefers-color-scheme: dark)')

function apply(): void {
  const dark = (localStorage.getItem('theme') ?? (system.matches ? 'dark' : 'light')) === 'dark'
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
  byId('theme').textContent = dark ? 'Light' : 'Dark'
}

/** A colour of style.css, as the theme has it now. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

/** `changed` is called when the colours are others. */
export function useTheme(changed: () => void): void {
  byId('theme').addEventListener('click', () => {
    localStorage.setItem('theme', document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark')
    apply()
    changed()
  })
  system.addEventListener('change', () => {
    apply()
    changed()
  })
}

// When it is imported: whoever asks for a colour has those of the theme.
apply()
