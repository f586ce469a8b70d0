// Only the rules that need types; everything else is Biome's (biome.jsonc). All typed rules are on, and every exception
// says why. Import cycles and layers are test/house's.
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

export default defineConfig(
  // bench is plain JavaScript and declares its types only where it wants them checked
  globalIgnores(['dist', 'build', 'coverage', '.tools', 'bench', 'globals.portable.d.ts']),
  {
    files: ['**/*.ts', '**/*.mjs'],
    extends: [tseslint.configs.strictTypeCheckedOnly],
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // there are no enums; and what a class may be assigned to the compiler says: together a third of the time of all rules
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // a handler may be async without awaiting
      '@typescript-eslint/require-await': 'off',
      // numbers and booleans read in messages as they print
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `() => stop()` for a callback whose result nobody reads, `if (isDone) return stop()` to end early in one line
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // our callers may write JavaScript, so options are checked for what their types rule out; a condition that really
      // cannot be false is a branch that the coverage of core and policy misses
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // `unknown | Promise<unknown>`, `Command<unknown>`: said for the reader
      '@typescript-eslint/no-redundant-type-constituents': 'off',
      '@typescript-eslint/no-unnecessary-type-arguments': 'off',
      // whatever a signal or a handler rejected with is passed on as it came
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingAny: true, allowThrowingUnknown: true }],
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      // both would take the type out of a builder whose methods return `this` as another type
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      '@typescript-eslint/prefer-return-this-type': 'off',
      // a type parameter used once may still name what it is
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
    },
  },
  {
    files: ['**/*.mjs'],
    rules: {
      // a JSDoc cast of what JSON.parse gives is seen by TypeScript and not by these
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: ['test/**'],
    rules: {
      // tests throw and reject with what users should not
      '@typescript-eslint/only-throw-error': 'off',
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
    },
  },
)
