import { expect, test } from 'vitest'
import { checkPeer, importPeer, requirePeer } from '../../../src/peer/index.js'
import { errorOf, thrownBy } from '../../support/setup.js'

const MISSING = {
  code: 'CONFIG_INVALID',
  message: '@a3s-lab/lane/agent needs the package no-such-package: npm install no-such-package',
  package: 'no-such-package',
}

test('a package that is missing is named in one sentence, however it is loaded', async () => {
  expect(thrownBy(() => requirePeer('no-such-package', '@a3s-lab/lane/agent'))).toMatchObject(MISSING)
  expect(thrownBy(() => checkPeer('no-such-package', '@a3s-lab/lane/agent'))).toMatchObject(MISSING)
  expect(await errorOf(importPeer('no-such-package', '@a3s-lab/lane/agent'))).toMatchObject(MISSING)
})

test('a package that is ES modules only is found and loaded', async () => {
  expect(() => checkPeer('globby', '@a3s-lab/lane/agent')).not.toThrow()
  expect(await importPeer('globby', '@a3s-lab/lane/agent')).toHaveProperty('globby')
})

test('a package that cannot be loaded for another reason fails with that reason', async () => {
  expect(await errorOf(importPeer('piscina/no-such-file', '@a3s-lab/lane/agent'))).not.toHaveProperty('package')
})
