import { defineConfig } from 'vitest/config'
import { entryPoints, root } from './scripts/entry-points.mjs'

/**
 * Tests that leave nothing behind in their process: no global of another library, no file, no process, no thread. One
 * process runs many of these files, one after another, and loads the source once for all of them.
 */
const together = [
  'test/{unit,model}/**/*.test.ts',
  'test/hostile/!(sandbox*|threads).test.ts',
  'test/behaviour/{,engine/,session/}!(describe-storage|fairness|otel-*|peers|prometheus*|storage-*).test.ts',
]

export default defineConfig({
  resolve: {
    // Tests and documentation import the package by its name and get the source: nothing has to be built first.
    alias: entryPoints().map(({ specifier, source }) => ({
      find: new RegExp(`^${specifier}$`),
      replacement: `${root}/${source}`,
    })),
  },
  test: {
    projects: [
      { extends: true, test: { name: 'together', include: together, isolate: false } },
      { extends: true, test: { name: 'alone', include: ['test/**/*.test.ts'], exclude: together } },
    ],
    // every core: many tests wait for processes of their own
    maxWorkers: '100%',
    setupFiles: ['test/support/no-silent-faults.ts', 'test/support/replay.ts'],
    reporters: ['default', './test/support/count-reporter.ts'],
    // A promise that never settles should not cost five seconds per test: nothing in the fast suite waits that long.
    testTimeout: 5000,
    expect: { requireAssertions: true },
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text', 'html', 'json-summary'],
      thresholds: {
        'src/core/**': { branches: 100 },
        'src/policy/**': { branches: 100 },
      },
    },
  },
})
