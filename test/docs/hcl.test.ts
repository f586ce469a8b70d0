/** Every ```hcl block of the documentation is a configuration that an agent can be made of. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { root } from '../../scripts/entry-points.mjs'
import { loadAgentConfig } from '../../src/agent/config.js'

const files = readdirSync(`${root}/docs`, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'))
const blocks = files.flatMap((file) =>
  [...readFileSync(`${root}/docs/${file}`, 'utf8').matchAll(/^```hcl\n(.*?)^```$/gms)].map(
    ([, text = '']) => [file.replaceAll('\\', '/'), text] as const,
  ),
)

/** What is commented out is meant to be uncommented. */
const uncommented = (text: string): string => text.replace(/^(\s*)# (?=\s*[\w}]+(?:\s*[={]|\s*$))/gm, '$1')

test.each(blocks)(
  'the configuration in %s is accepted as it stands, and with all that is commented out',
  async (_file, text) => {
    const env = { OPENAI_API_KEY: 'a key' }
    const asItStands = await loadAgentConfig(text, { env })
    const whole = await loadAgentConfig(uncommented(text), { env })
    expect(whole.defaultModel).toBe(asItStands.defaultModel)
    expect(whole.queue).not.toEqual(asItStands.queue)
  },
)
