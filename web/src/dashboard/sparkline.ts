// A day's prices as a line, without scales.

/** Draw `prices`, the oldest first, over the whole canvas. */
export function drawSparkline(canvas: HTMLCanvasElement, prices: number[], colour: string): void {
  const context = canvas.getContext('2d')
  const { clientWidth: width, clientHeight: height } = canvas
  if (!context || !width) return
  const scale = devicePixelRatio
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
  }
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  const low = Math.min(...prices)
  const span = Math.max(...prices) - low || 1
  context.beginPath()
  prices.forEach((price, at) => {
    const x = (at / Math.max(1, prices.length - 1)) * width
    context.lineTo(x, height - 1.5 - ((price - low) / span) * (height - 3))
  })
  context.strokeStyle = colour
  context.lineWidth = 1.2
  context.stroke()
}
