import type { CodegenConfig } from '@graphql-codegen/cli'

// Types for what client.ts asks, out of schema.graphql: npx graphql-codegen
const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: ['client.ts'],
  importExtension: '.ts', // so that Node runs the sources as they are
  generates: {
    'generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true, // a scalar without a line below is an error
        scalars: {
          BigInt: 'string', // beyond 2^53 a number would not be exact
          DateTime: 'string', // RFC 3339, in UTC
          Decimal: 'string', // exact: for arithmetic, hand it to a decimal library
          JSON: 'unknown',
          Timeframe: 'string', // such as 5s, 1m, 1h
        },
      },
    },
  },
}

export default config
