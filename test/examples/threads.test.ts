/** The threads example: right results from all cores, while control starts. */
import { beforeAll, expect, test } from 'vitest'
import { BUILD_MS, build, run } from './built.js'

beforeAll(build, BUILD_MS)

test('counts every prime on one thread and on all, and control runs meanwhile', async () => {
  const { code, stdout, stderr } = await run('threads/main')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('yes  both count every prime')
  expect(stdout).toMatch(/control/)
}, 60_000)
