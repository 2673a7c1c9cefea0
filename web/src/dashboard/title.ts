// The tab's title: how many bots are in trouble, the market, and its price once it is known.

let market = ''
let troubled = 0

export function titleMarket(text: string): void {
  market = text
  draw()
}

export function titleTroubled(count: number): void {
  troubled = count
  draw()
}

function draw(): void {
  // Not put off to a frame, of which a page in the background has none.
  const text = `${troubled ? `(${troubled}) ` : ''}${market ? `${market} · ` : ''}candleql`
  if (document.title !== text) document.title = text
}
