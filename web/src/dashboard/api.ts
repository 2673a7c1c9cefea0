// Everything that the dashboard asks of the server, with types made from schema.graphql.
import { graphql } from '../gql'
import type {
  AllBotsQuery,
  CandleEventsSubscription,
  HealthEventsSubscription,
  MarketsQuery,
  TradeEventsSubscription,
  WatchEventsSubscription,
} from '../gql/graphql'

export type Market = NonNullable<MarketsQuery['markets']>[number]
export type CandleEvent = CandleEventsSubscription['candles']
export type WatchEvent = WatchEventsSubscription['watchCandles']
export type Trade = TradeEventsSubscription['trades']['trades'][number]
export type Bot = NonNullable<AllBotsQuery['bots']>['nodes'][number]
export type Health = HealthEventsSubscription['health']

export const Markets = graphql(`
  query Markets {
    markets { exchange symbol timeframe isCollected tickSize firstTime }
  }
`)

export const Instruments = graphql(`
  query Instruments($search: String) {
    instruments(search: $search, first: 30) { nodes { exchange symbol tickSize } }
  }
`)

export const History = graphql(`
  query History($exchange: String!, $symbol: String!, $timeframe: Timeframe!, $end: DateTime, $last: Int!) {
    candleSeries(exchange: $exchange, symbol: $symbol, timeframe: $timeframe, end: $end, last: $last) {
      time open high low close volume truncated liveCursor
    }
  }
`)

export const ExactCandles = graphql(`
  query ExactCandles($exchange: String!, $symbol: String!, $timeframe: Timeframe!, $start: DateTime!, $end: DateTime!) {
    candles(exchange: $exchange, symbol: $symbol, timeframe: $timeframe, start: $start, end: $end, last: 500) {
      nodes { startTime open high low close volume tradeCount origin isFinal }
    }
  }
`)

export const CandleEvents = graphql(`
  subscription CandleEvents($exchange: String!, $symbol: String!, $timeframe: Timeframe!, $after: String!) {
    candles(exchange: $exchange, symbol: $symbol, timeframe: $timeframe, after: $after) {
      kind
      cursor
      candle { startTime open high low close volume tradeCount origin isFinal }
      gap { start end }
    }
  }
`)

export const WatchEvents = graphql(`
  subscription WatchEvents($series: [SeriesInput!]!) {
    watchCandles(series: $series) {
      kind
      series { exchange symbol }
      candle { startTime close }
      gap { start end }
    }
  }
`)

export const TradeEvents = graphql(`
  subscription TradeEvents($exchange: String!, $symbol: String!, $after: String, $snapshot: Int!) {
    trades(exchange: $exchange, symbol: $symbol, after: $after, snapshot: $snapshot) {
      cursor
      isCollected
      trades { timestamp price size side }
    }
  }
`)

export const AllBots = graphql(`
  query AllBots {
    bots(first: 1000) {
      nodes {
        id name strategyName exchange symbol timeframe status virtualBalance config lastHeartbeat isStale version
      }
    }
  }
`)

export const BotEvents = graphql(`
  subscription BotEvents {
    bots {
      kind
      bot { id name strategyName exchange symbol timeframe status virtualBalance config lastHeartbeat isStale version }
    }
  }
`)

export const CreateBot = graphql(`
  mutation CreateBot($input: CreateBotInput!) {
    createBot(input: $input) { bot { id } }
  }
`)

export const UpdateBot = graphql(`
  mutation UpdateBot($id: ID!, $input: UpdateBotInput!, $version: Int!) {
    updateBot(id: $id, input: $input, expectedVersion: $version) { bot { id } }
  }
`)

export const Heartbeat = graphql(`
  mutation Heartbeat($id: ID!) {
    recordHeartbeat(id: $id) { bot { id } }
  }
`)

export const DeleteBot = graphql(`
  mutation DeleteBot($id: ID!) {
    deleteBot(id: $id) { deleted }
  }
`)

export const HealthEvents = graphql(`
  subscription HealthEvents {
    health {
      healthy
      database { connected latencyMs }
      bus { connected }
      waiting { since reason }
      feeds { exchange channel symbol connected openGaps lagMs refusal { code message since } }
    }
  }
`)
