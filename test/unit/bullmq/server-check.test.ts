import { describe, expect, test } from 'vitest'
import { checkServer, isAway, refusalOf, unavailable } from '../../../src/bullmq/server-check.js'

const info = (lines: Record<string, string>): string =>
  Object.entries({ redis_version: '7.0.15', maxmemory_policy: 'noeviction', aof_enabled: '0', ...lines })
    .map(([name, value]) => `${name}:${value}`)
    .join('\r\n')

describe('a server', () => {
  test('a present one is taken, and says what survives its end', () => {
    expect(checkServer(info({}), false, undefined)).toEqual({ name: 'redis', version: '7.0.15', durability: 'off' })
    expect(checkServer(info({ aof_enabled: '1' }), false, 'always').durability).toBe('always')
    expect(checkServer(info({ aof_enabled: '1' }), false, undefined).durability).toBe('unknown')
  })

  test('Valkey is taken whatever Redis it says it is', () => {
    const valkey = checkServer(info({ redis_version: '6.0.0', valkey_version: '8.1.0' }), false, undefined)
    expect(valkey).toMatchObject({ name: 'valkey', version: '8.1.0' })
  })

  test('an old one is refused with its version', () => {
    for (const redis_version of ['6.0.16', '5.0.7']) {
      expect(() => checkServer(info({ redis_version }), false, undefined)).toThrow(`Redis ${redis_version}`)
    }
    expect(checkServer(info({ redis_version: '6.2.0' }), false, undefined).version).toBe('6.2.0')
  })

  test('one that may evict commands is refused unless that is allowed', () => {
    const evicting = info({ maxmemory_policy: 'allkeys-lru' })
    expect(() => checkServer(evicting, false, undefined)).toThrow(/allkeys-lru.*allowEviction/)
    expect(checkServer(evicting, true, undefined).name).toBe('redis')
  })
})

describe('an error of the server', () => {
  test('a wrong password is a matter of the configuration', () => {
    for (const text of [
      'WRONGPASS invalid username-password pair or user is disabled.',
      'NOAUTH Authentication required.',
      "NOPERM this user has no permissions to run the 'info' command",
      'ERR DB index is out of range',
      'MOVED 3999 127.0.0.1:6381',
    ]) {
      expect(refusalOf(new Error(text))).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
      expect(isAway(new Error(text))).toBe(false)
    }
  })

  test('a lost connection is not', () => {
    for (const text of [
      'Connection is closed.',
      "Stream isn't writeable and enableOfflineQueue options is false",
      'Reached the max retries per request limit (which is 0).',
      'read ECONNRESET',
      'LOADING Redis is loading the dataset in memory',
    ]) {
      expect(isAway(new Error(text))).toBe(true)
      expect(refusalOf(new Error(text))).toBeUndefined()
    }
    expect(isAway(new Error('ERR unknown command'))).toBe(false)
    expect(unavailable('gone')).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
  })
})
