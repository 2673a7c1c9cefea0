// What Relay asks. relay-compiler reads this file and makes a module of each document; nobody runs it.
import { graphql } from 'relay-runtime'

graphql`
  query marketLatestQuery($symbol: String!) {
    latestCandle(symbol: $symbol, timeframe: "5s") { symbol startTime close }
    markets { symbol timeframe isCollected }
  }
`

graphql`
  query marketPageQuery(
    $exchange: String = "okx", $symbol: String!, $timeframe: Timeframe!, $start: DateTime, $end: DateTime,
    $first: Int, $after: String, $last: Int, $before: String
  ) {
    candles(
      exchange: $exchange, symbol: $symbol, timeframe: $timeframe, start: $start, end: $end,
      first: $first, after: $after, last: $last, before: $before
    ) @connection(key: "market_candles", filters: ["exchange", "symbol", "timeframe", "start", "end"]) {
      edges { node { startTime endTime open high low close volume tradeCount } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`

graphql`
  query marketEverythingQuery(
    $exchange: String, $search: String, $status: BotStatus, $symbol: String, $start: DateTime, $end: DateTime,
    $first: Int, $after: String, $last: Int, $before: String
  ) {
    bots(status: $status, symbol: $symbol, first: $first, after: $after, last: $last, before: $before) {
      nodes { id name config }
    }
    markets(exchange: $exchange) { symbol }
    instruments(search: $search, first: $first, after: $after) { nodes { symbol } }
    rawTrades(symbol: "BTC-USDT", start: $start, end: $end, first: $first, after: $after, last: $last, before: $before) {
      nodes { id }
    }
    candleSeries(symbol: "BTC-USDT", timeframe: "5s", start: $start, end: $end, last: $last) { time }
  }
`

graphql`
  query marketNonsenseQuery($symbol: String!) {
    latestCandle(symbol: $symbol, timeframe: "7x") { close }
  }
`

graphql`
  mutation marketWriteMutation($input: CandleInput!, $forceUpdate: Boolean = false) {
    upsertCandle(input: $input, forceUpdate: $forceUpdate) { stored candle { startTime endTime open close tradeCount } }
  }
`

graphql`
  mutation marketCreateMutation($input: CreateBotInput!) {
    createBot(input: $input) { bot { id name virtualBalance config status } }
  }
`

graphql`
  mutation marketDeleteMutation($id: ID!) {
    deleteBot(id: $id) { deleted }
  }
`

graphql`
  subscription marketFollowSubscription(
    $exchange: String = "okx", $symbol: String!, $timeframe: Timeframe!, $after: String, $snapshot: Int = 0
  ) {
    candles(exchange: $exchange, symbol: $symbol, timeframe: $timeframe, after: $after, snapshot: $snapshot) {
      kind cursor
      candle { startTime close isFinal }
    }
  }
`
