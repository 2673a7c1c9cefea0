// What the chart is drawn on: its axes, and a series each of prices, volumes and missing trades.
import {
  CandlestickSeries,
  createChartEx,
  HistogramSeries,
  type IChartApiBase,
  type ISeriesApi,
  type Time,
} from 'lightweight-charts'
import { printed } from './decimal'
import { WallClockScale } from './scale'
import { colour } from './theme'

const STEPS = 8 // Digits after the point that the library's own scale tells apart; prices with more are drawn larger.

export interface Canvas {
  chart: IChartApiBase<Time>
  prices: ISeriesApi<'Candlestick', Time>
  volumes: ISeriesApi<'Histogram', Time>
  missing: ISeriesApi<'Histogram', Time>
}

/** What prices of so many digits after the point are drawn times. */
export const scaleOf = (digits: number): number => 10 ** Math.max(0, digits - STEPS)

/** In the theme's colours, for prices of so many digits after the point, with places for so many bars to come. */
export function createCanvas(container: HTMLElement, digits: number, room: number): Canvas {
  const scale = scaleOf(digits)
  const text = colour('--quiet')
  const grid = colour('--grid')
  const chart: IChartApiBase<Time> = createChartEx(container, new WallClockScale(), {
    autoSize: true,
    handleScroll: { vertTouchDrag: false }, // A thumb that moves up or down scrolls the page.
    layout: {
      background: { color: colour('--panel') },
      textColor: text,
      fontSize: 11,
      fontFamily: getComputedStyle(document.body).fontFamily,
    },
    grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    crosshair: {
      mode: 0,
      vertLine: { color: text, labelBackgroundColor: colour('--label') },
      horzLine: { color: text, labelBackgroundColor: colour('--label') },
    },
    rightPriceScale: { borderColor: grid, scaleMargins: { top: 0.08, bottom: 0.24 } },
    timeScale: { borderColor: grid, timeVisible: true, secondsVisible: true, rightOffset: room },
  })
  const missing = chart.addSeries(HistogramSeries, {
    priceScaleId: 'missing',
    color: colour('--gap'),
    autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }),
    lastValueVisible: false,
    priceLineVisible: false,
  })
  missing.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 } })
  const volumes = chart.addSeries(HistogramSeries, {
    priceScaleId: 'volume',
    priceFormat: { type: 'volume' },
    lastValueVisible: false,
    priceLineVisible: false,
  })
  volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } })
  const prices = chart.addSeries(CandlestickSeries, {
    upColor: colour('--up'),
    downColor: colour('--down'),
    wickUpColor: colour('--up'),
    wickDownColor: colour('--down'),
    borderVisible: false,
    priceFormat: {
      type: 'custom',
      minMove: 10 ** -Math.min(digits, STEPS),
      formatter: (price: number) => printed((price / scale).toFixed(digits), digits),
    },
  })
  return { chart, prices, volumes, missing }
}
