import type { CodegenConfig } from '@graphql-codegen/cli'

// The types of what src/dashboard asks, into src/gql: const Query = graphql(`query ...`) knows its data and variables.
const config: CodegenConfig = {
  schema: '../schema.graphql',
  documents: ['src/dashboard/**/*.ts'],
  silent: true,
  generates: {
    'src/gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: { BigInt: 'string', DateTime: 'string', Decimal: 'string', JSON: 'unknown', Timeframe: 'string' },
      },
    },
  },
}

export default config
