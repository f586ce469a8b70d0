// biome-ignore-all lint/suspicious/noTemplateCurlyInString: templates of HCL
/** The configuration of an agent: its sources, its keys, its defaults, and what is said when something is wrong. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type AgentConfig, loadAgentConfig } from '../../../src/agent/config.js'
import { resolveSessionConfig, SessionQueueConfig } from '../../../src/session/index.js'
import { QUEUE_BLOCK } from '../../support/queue-block.js'
import { errorOf } from '../../support/setup.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lane-agent-config-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const load = (source: unknown, env: Record<string, string> = {}): Promise<AgentConfig> =>
  loadAgentConfig(source as string, { env: { OPENAI_API_KEY: 'sk-from-env', ...env } })

/** The message of what is refused, without its beginning. */
async function refusal(source: unknown, env: Record<string, string> = {}): Promise<string> {
  const error = await errorOf(load(source, env))
  const told = `${error.message} ${JSON.stringify(error)}`
  if (told.includes('sk-')) return `a secret: ${told}`
  return error['code'] === 'CONFIG_INVALID' ? error.message.replace('Configuration error: ', '') : String(error)
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

const MINIMAL = `default_model = "openai/gpt"
providers {
  name    = "openai"
  api_key = env("OPENAI_API_KEY")
  models {
    id = "gpt"
  }
}
`
const MODEL = {
  id: 'gpt',
  name: 'gpt',
  family: undefined,
  apiKey: undefined,
  baseUrl: undefined,
  attachment: false,
  reasoning: false,
  toolCall: true,
  temperature: true,
  releaseDate: undefined,
  modalities: { input: [], output: [] },
  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
  limit: { context: 0, output: 0 },
}
const FILLED_IN: AgentConfig = {
  defaultModel: 'openai/gpt',
  providers: [{ name: 'openai', apiKey: 'sk-from-env', baseUrl: undefined, models: [MODEL] }],
  queue: undefined,
  search: { timeout: 10, health: { maxFailures: 3, suspendSeconds: 60 }, engine: {} },
  storageBackend: 'file',
  sessionsDir: undefined,
  storageUrl: undefined,
  skillDirs: [],
  agentDirs: [],
  maxToolRounds: 50,
  thinkingBudget: undefined,
  memory: undefined,
}

const AS_OBJECT = {
  defaultModel: 'openai/gpt',
  providers: [{ name: 'openai', apiKey: 'sk-from-env', models: [{ id: 'gpt' }] }],
}
const AS_JSON = JSON.stringify({
  default_model: 'openai/gpt',
  providers: [{ name: 'openai', api_key: 'env("OPENAI_API_KEY")', models: [{ id: 'gpt' }] }],
})

test('the path of a file, HCL, JSON and an object give the same, with every default', async () => {
  expect(await load(MINIMAL)).toEqual(FILLED_IN)
  expect(await load(await file('agent.hcl', MINIMAL))).toEqual(FILLED_IN)
  expect(await load(AS_JSON)).toEqual(FILLED_IN)
  expect(await load(await file('agent.json', AS_JSON))).toEqual(FILLED_IN)
  expect(await load(AS_OBJECT)).toEqual(FILLED_IN)
})

test('a file may have any name, and begin with a byte order mark', async () => {
  expect(await load(await file('my agent', `\uFEFF${MINIMAL}`))).toEqual(FILLED_IN)
  expect(await load(await file('config', AS_JSON))).toEqual(FILLED_IN)
})

test('a path may begin with ~/, the home folder', async () => {
  await file('config.hcl', MINIMAL)
  vi.stubEnv('HOME', folder)
  vi.stubEnv('USERPROFILE', folder)
  try {
    expect(await load('~/config.hcl')).toEqual(FILLED_IN)
    expect(await refusal('~/none.hcl')).toContain(`${join(folder, 'none.hcl')}: file not found`)
  } finally {
    vi.unstubAllEnvs()
  }
})

test('every key of every table is understood, in snake_case and in camelCase', async () => {
  const text = `
    default_model = "local/big"
    storage_backend = "memory"
    sessions_dir = "./sessions"
    storage_url = "file:///tmp/x"
    skill_dirs = ["a", "b"]
    agentDirs = ["c"]
    maxToolRounds = 7
    thinking_budget = 1000
    memory { anything = true }
    search {
      timeout = 20
      health {
        max_failures = 1
        suspendSeconds = 5
      }
      engine {
        one {
          enabled = false
          weight = 0.5
        }
      }
    }
    providers {
      name = "openai"
    }
    providers {
      name = "local"
      baseUrl = "http://127.0.0.1:1234/v1"
      models {
        id = "big"
        name = "Big"
        family = "large"
        api_key = "k"
        base_url = "https://elsewhere.example/v1"
        attachment = true
        reasoning = true
        tool_call = false
        temperature = false
        release_date = "2025-01-01"
        modalities {
          input = ["text", "image"]
          output = ["text"]
        }
        cost {
          input = 1
          output = 2.5
          cache_read = 0.1
          cacheWrite = 0.2
        }
        limit {
          context = 128000
          output = 4096
        }
      }
      models { id = "small" }
    }
  `
  const config = await load(text)
  expect(config).toEqual({
    defaultModel: 'local/big',
    storageBackend: 'memory',
    sessionsDir: './sessions',
    storageUrl: 'file:///tmp/x',
    skillDirs: ['a', 'b'],
    agentDirs: ['c'],
    maxToolRounds: 7,
    thinkingBudget: 1000,
    memory: { anything: true },
    queue: undefined,
    search: {
      timeout: 20,
      health: { maxFailures: 1, suspendSeconds: 5 },
      engine: { one: { enabled: false, weight: 0.5, timeout: 20 } },
    },
    providers: [
      { name: 'openai', apiKey: undefined, baseUrl: undefined, models: [] },
      {
        name: 'local',
        apiKey: undefined,
        baseUrl: 'http://127.0.0.1:1234/v1',
        models: [
          {
            id: 'big',
            name: 'Big',
            family: 'large',
            apiKey: 'k',
            baseUrl: 'https://elsewhere.example/v1',
            attachment: true,
            reasoning: true,
            toolCall: false,
            temperature: false,
            releaseDate: '2025-01-01',
            modalities: { input: ['text', 'image'], output: ['text'] },
            cost: { input: 1, output: 2.5, cacheRead: 0.1, cacheWrite: 0.2 },
            limit: { context: 128_000, output: 4096 },
          },
          { ...MODEL, id: 'small', name: 'small' },
        ],
      },
    ],
  })
})

test('the complete documented queue block reaches the sessions', async () => {
  const { queue } = await load(`${MINIMAL}${QUEUE_BLOCK}`)
  expect(resolveSessionConfig(undefined, queue)).toMatchObject({
    concurrency: { control: 2, query: 10, execute: 5, generate: 1 },
    deadLetters: 1000,
    metrics: true,
    alerts: true,
    storagePath: './queue_data',
    timeoutMs: { control: 60_000, query: 30_000, execute: 120_000, generate: 60_000 },
    retry: { maxRetries: 3, initialMs: 100 },
    rateLimit: { maxCommands: 100, windowMs: 1000 },
    boost: { deadlineMs: 300_000 },
    pressureThreshold: 50,
    handlers: { execute: { mode: 'external', timeoutMs: 60_000 } },
  })
})

test('nested settings of the queue may be attributes, lanes capitalised or labels of a block', async () => {
  const { queue } = await load(`${MINIMAL}
    queue {
      retryPolicy = { strategy = "fixed", max_retries = 5, fixedDelayMs = 1000 }
      lane_timeouts = { Query = 7 }
      lane_handlers "execute" {
        mode = "Hybrid"
      }
    }`)
  expect(resolveSessionConfig(undefined, queue)).toMatchObject({
    retry: { maxRetries: 5, initialMs: 1000, factor: 1 },
    timeoutMs: { query: 7 },
    handlers: { execute: { mode: 'hybrid', timeoutMs: 60_000 } },
  })
})

test('a queue config with setters may stand in an object', async () => {
  const { queue } = await load({ ...AS_OBJECT, queue: new SessionQueueConfig().withDlq(7) })
  expect(resolveSessionConfig(undefined, queue)).toMatchObject({ deadLetters: 7 })
})

test.each<[string, string, string]>([
  ['alone', '${env("X")}', 'value'],
  ['in a text', 'a-${ env( "X" ) }-${env("Y")}', 'a-value-other'],
  ['with a dollar that is none', 'a-$${X} 5 $', 'a-${X} 5 $'],
  ['with a per cent sign', '100 % %%{x}', '100 % %{x}'],
])('a variable of the environment stands for its value: %s', async (_how, written, expected) => {
  const text = MINIMAL.replace('id = "gpt"', () => `id = "gpt"\n name = "${written}"`)
  const { providers } = await load(text, { X: 'value', Y: 'other' })
  expect(providers[0]?.models[0]?.name).toBe(expected)
})

test.each(['env("X")', "env('X')", '${env("X")}'])('JSON calls the environment as %s', async (written) => {
  const config = { ...AS_OBJECT, sessionsDir: written }
  expect((await load(JSON.stringify(config), { X: '/data' })).sessionsDir).toBe('/data')
})

test('an object is taken as it is', async () => {
  expect((await load({ ...AS_OBJECT, sessionsDir: '${env("X")}' })).sessionsDir).toBe('${env("X")}')
})

test('a variable that is not set is named, with its place', async () => {
  const error = await errorOf(loadAgentConfig(await file('unset.hcl', MINIMAL), { env: {} }))
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', file: join(folder, 'unset.hcl'), line: 4, column: 3 })
  expect(error.message).toBe(
    `Configuration error: ${join(folder, 'unset.hcl')}:4:3: providers[0].api_key needs the environment variable OPENAI_API_KEY, which is not set\n  4 |   api_key = …`,
  )
})

test.each(['30 * 1000', 'var.x', 'upper("a")', 'env("A", "B")', '"${1 + 1}"', 'env(X)'])(
  'the expression %s is refused, not computed',
  async (expression) => {
    expect(await refusal(`max_tool_rounds = ${expression}\n${MINIMAL}`)).toContain(
      '<hcl>:1:1: max_tool_rounds is an expression, and of these only env("NAME") is computed',
    )
  },
)

test('null in HCL is not set', async () => {
  expect(await load(`storage_backend = null\n${MINIMAL}`)).toEqual(FILLED_IN)
})

test.each(['missing.hcl', './no/such/folder/agent.json', '/nowhere/agent.HCL'])(
  'the path %s of no file is not taken for a text',
  async (path) => {
    expect(await refusal(path)).toBe(`${path}: file not found`)
  },
)

test('a folder is no file', async () => {
  await mkdir(join(folder, 'folder.hcl'))
  expect(await refusal(join(folder, 'folder.hcl'))).toContain('it is no file')
})

test.each([undefined, null, '', ' \n', 5, []])('%j is no source', async (source) => {
  expect(await refusal(source)).toMatch(/^source must be|^agent must be an object/)
})

test.each<[string, string, string]>([
  ['no value', 'default_model =\n', '<hcl>:1:16: Invalid expression: '],
  ['no end', 'queue {\n  enable_dlq = true\n', '<hcl>:1:7: Unclosed configuration block: '],
  [
    'a key twice',
    'default_model = "a/b"\ndefault_model = "a/c"',
    '<hcl>:2:1: Attribute redefined: The argument "default_model" was already set at line 1.',
  ],
  ['a text without end', 'x = 1\ndefault_model = "abc\ny = 1', '<hcl>:2:21: Invalid multi-line string: '],
  ['blocks on one line', 'queue { retry_policy { max_retries = 1 } }', '<hcl>:1:9: Argument definition required: '],
  ['no HCL at all', 'Once upon a time', '<hcl>:1:17: Invalid block definition'],
  [
    'a key as block and value',
    'queue {\n}\nqueue = { enable_dlq = true }',
    "<hcl>:3:1: 'queue' is there as a block and with '=': write it in one way",
  ],
])('HCL with %s is refused with line and column', async (_what, text, message) => {
  expect(await refusal(text)).toContain(message.replace(/\.$/, ''))
})

test.each<[string, string, string]>([
  ['a comma too many', '{\n  "default_model": "a/b",\n}', '<json>:3:1: no JSON: a key in double quotes should be here'],
  ['a comma too few', '{\n  "a": 1\n  "b": 2\n}', `<json>:3:3: no JSON: ',' or '}' should be here`],
  ['no end', '{ "a": [1, 2', `<json>:1:13: no JSON: ',' or ']' should be here`],
  ['no value', '{ "a": }', '<json>:1:8: no JSON: a value should be here'],
  ['nothing after a colon', '{ "a":', '<json>:1:7: no JSON: the text ends where a value should be'],
  ['a bad text', '{ "a": "sk-\n" }', '<json>:1:8: no JSON: a text has no end, or a character that has to be escaped'],
  ['no colon', '{ "a" 1 }', "<json>:1:7: no JSON: ':' should be here"],
  ['something after it', '{} {}', '<json>:1:4: no JSON: nothing may follow the end of the object'],
  ['a key twice', '{ "a": 1,\n "a": 2 }', "<json>:2:2: no JSON: 'a' is there twice"],
])('JSON with %s is refused with line and column', async (_what, text, message) => {
  expect(await refusal(text)).toContain(message)
})

test.each<[string, string, string]>([
  [
    'an unknown key',
    `defualt_model = "a/b"\n${MINIMAL}`,
    "<hcl>:1:1: agent has no option 'defualt_model'; did you mean 'default_model'?",
  ],
  ['an unknown block', `${MINIMAL}queu {\n}`, "<hcl>:9:1: agent has no option 'queu'; did you mean 'queue'?"],
  [
    'an unknown key of a provider',
    MINIMAL.replace('api_key', 'api_kye'),
    "<hcl>:4:3: agent.providers[0] has no option 'api_kye'; did you mean 'api_key'?",
  ],
  [
    'an unknown key of a model',
    MINIMAL.replace('id =', 'toolcall = true\n    id ='),
    "<hcl>:6:5: agent.providers[0].models[0] has no option 'toolcall'; did you mean 'toolCall'?",
  ],
  [
    'an unknown key of the second provider',
    `${MINIMAL}providers {\n  name = "b"\n  modls {\n  }\n}`,
    "<hcl>:11:3: agent.providers[1] has no option 'modls'; did you mean 'models'?",
  ],
  [
    'an unknown key of the queue',
    `${MINIMAL}queue {\n  # more\n  query_concurency = 3\n}`,
    "<hcl>:11:3: queue has no option 'query_concurency'",
  ],
  [
    'an unknown key deep in the queue',
    `${MINIMAL}queue {\n  retry_policy = {\n    max_retry = 3\n  }\n}`,
    "<hcl>:11:5: queue.retry_policy has no option 'max_retry'; did you mean 'max_retries'?",
  ],
  [
    'a zero',
    `${MINIMAL}queue {\n  query_max_concurrency = 0\n}`,
    '<hcl>:10:3: queue.query_max_concurrency must be an integer of at least 1, got 0',
  ],
  [
    'a text for a number',
    `${MINIMAL}max_tool_rounds = "7"`,
    '<hcl>:9:1: agent.max_tool_rounds must be an integer of at least 1, got "7"',
  ],
  ['a number for a list', `${MINIMAL}skill_dirs = 7`, '<hcl>:9:1: agent.skill_dirs must be a list, got 7'],
  [
    'a wrong item of a list',
    `${MINIMAL}skill_dirs = [\n  "a",\n  7]`,
    '<hcl>:11:3: agent.skill_dirs[1] must be a string that is not empty, got 7',
  ],
  [
    'an unknown word',
    `${MINIMAL}storage_backend = "disk"`,
    "<hcl>:9:1: agent.storage_backend must be one of 'memory', 'file', 'custom', got \"disk\"",
  ],
  [
    'two blocks where one may be',
    `${MINIMAL}search {\n}\nsearch {\n}`,
    '<hcl>:9:1: agent.search must be one block, got 2',
  ],
  [
    'a provider without a name',
    MINIMAL.replace('name    = "openai"', ''),
    "<hcl>:2:1: agent.providers[0].name must be the provider's part of 'provider/model', without a slash, got undefined",
  ],
  [
    'a model without an id',
    MINIMAL.replace('id = "gpt"', ''),
    '<hcl>:5:3: agent.providers[0].models[0].id must be the name that the provider has for the model, got undefined',
  ],
  [
    'two providers of a name',
    `${MINIMAL}providers {\n  name = "openai"\n}`,
    '<hcl>:10:3: agent.providers[1].name must be one that no other has, got "openai"',
  ],
  [
    'two models of an id',
    MINIMAL.replace('models {', 'models {\n    id = "gpt"\n  }\n  models {'),
    '<hcl>:9:5: agent.providers[0].models[1].id must be one that no other has, got "gpt"',
  ],
  [
    'two spellings',
    `${MINIMAL}maxToolRounds = 1\nmax_tool_rounds = 2`,
    "<hcl>:10:1: agent has 'maxToolRounds' and 'max_tool_rounds' with two values",
  ],
  [
    'a negative weight',
    `${MINIMAL}search {\n  engine {\n    one {\n      weight = -1\n    }\n  }\n}`,
    '<hcl>:12:7: agent.search.engine.one.weight must be a number, 0 or more, got -1',
  ],
  [
    'no time',
    `${MINIMAL}search {\n  timeout = 0\n}`,
    '<hcl>:10:3: agent.search.timeout must be a number above 0, got 0',
  ],
])('%s is refused with line and column', async (_what, text, message) => {
  expect(await refusal(text)).toContain(message)
})

test('the line is shown without its texts', async () => {
  expect(await refusal(`${MINIMAL}storage_backend = "disk"`)).toMatch(/\n {2}9 \| storage_backend = "…"$/)
})

test('errors in JSON have their place, too', async () => {
  const text = JSON.stringify({ ...JSON.parse(AS_JSON), queue: { retryPolicy: { maxRetires: 1 } } }, undefined, 2)
  const line = text.split('\n').findIndex((one) => one.includes('maxRetires')) + 1
  expect(await refusal(text)).toContain(
    `<json>:${line}:7: queue.retryPolicy has no option 'maxRetires'; did you mean 'maxRetries'?`,
  )
  expect(await refusal(JSON.stringify({ default_model: null }))).toContain(
    '<json>:1:2: agent.default_model must be a string',
  )
})

test('errors in an object name the path', async () => {
  expect(await refusal({ ...AS_OBJECT, maxToolRound: 1 })).toBe(
    "agent has no option 'maxToolRound'; did you mean 'maxToolRounds'?",
  )
  expect(await refusal({ ...AS_OBJECT, queue: { queryConcurrency: 0 } })).toBe(
    'queue.queryConcurrency must be an integer of at least 1, got 0',
  )
  expect(await refusal({ ...AS_OBJECT, search: [{}] })).toBe('agent.search must be an object, got [{}]')
})

test.each<[string, unknown, string]>([
  [
    'no default model',
    { providers: AS_OBJECT.providers },
    "agent.default_model must be of the form 'provider/model', got undefined",
  ],
  [
    'another form',
    { ...AS_OBJECT, defaultModel: 'gpt' },
    'agent.defaultModel must be of the form \'provider/model\', got "gpt"',
  ],
  [
    'an unknown provider',
    { ...AS_OBJECT, defaultModel: 'opnai/gpt' },
    'agent.defaultModel must be a model of a provider that is configured (\'openai\'), got "opnai/gpt"',
  ],
  [
    'no provider at all',
    { defaultModel: 'openai/gpt' },
    'agent.defaultModel must be a model of a provider that is configured (there is none), got "openai/gpt"',
  ],
  [
    'an unknown model',
    { ...AS_OBJECT, defaultModel: 'openai/gpt-2' },
    "agent.defaultModel must be one of the models of provider 'openai' ('gpt'), got \"openai/gpt-2\"",
  ],
  [
    'no API key',
    { ...AS_OBJECT, providers: [{ name: 'openai', models: [{ id: 'gpt' }] }] },
    "agent.defaultModel cannot be called: provider 'openai' has no api_key for model 'gpt'; only a base_url on this machine (localhost, 127.0.0.1) needs none",
  ],
  [
    'an empty API key',
    { ...AS_OBJECT, providers: [{ name: 'openai', apiKey: '', models: [{ id: 'gpt' }] }] },
    "agent.defaultModel cannot be called: provider 'openai' has no api_key for model 'gpt'",
  ],
  [
    'no address',
    { defaultModel: 'mine/x', providers: [{ name: 'mine', apiKey: 'k', models: [{ id: 'x' }] }] },
    "agent.defaultModel cannot be called: provider 'mine' has no base_url, and only those of openai, anthropic, google are known",
  ],
  [
    'no address that is one',
    { ...AS_OBJECT, providers: [{ name: 'openai', baseUrl: 'localhost:80', models: [] }] },
    'agent.providers[0].baseUrl must be an address that starts with http:// or https://',
  ],
])('a configuration with %s is refused', async (_what, source, message) => {
  expect(await refusal(source)).toContain(message)
})

test.each(['http://localhost:11434/v1', 'http://127.0.0.1:8080', 'http://[::1]:8080/v1', 'https://models.localhost'])(
  'a server on this machine needs no key: %s',
  async (baseUrl) => {
    const config = { defaultModel: 'mine/x', providers: [{ name: 'mine', baseUrl, models: [{ id: 'x' }] }] }
    expect((await load(config)).defaultModel).toBe('mine/x')
  },
)

test.each(['http://localhost.example.com', 'http://10.0.0.1', 'https://127.0.0.1.nip.io'])(
  'a server elsewhere needs a key: %s',
  async (baseUrl) => {
    const config = { defaultModel: 'mine/x', providers: [{ name: 'mine', baseUrl, models: [{ id: 'x' }] }] }
    expect(await refusal(config)).toContain('has no api_key')
  },
)

test('the id of a model may have slashes', async () => {
  const config = {
    defaultModel: 'router/a/b:c',
    providers: [{ name: 'router', baseUrl: 'https://r.example', apiKey: 'k', models: [{ id: 'a/b:c' }] }],
  }
  expect((await load(config)).defaultModel).toBe('router/a/b:c')
})

test.each<[string, unknown]>([
  ['in a key of another type', { ...AS_OBJECT, providers: [{ name: 'openai', apiKey: ['sk-secret'] }] }],
  ['where a block should be', `providers = "sk-secret"\n${MINIMAL}`],
  ['from the environment where a number should be', `max_tool_rounds = env("OPENAI_API_KEY")\n${MINIMAL}`],
  ['from the environment as the model', MINIMAL.replace('"openai/gpt"', 'env("OPENAI_API_KEY")')],
  ['without its quotes', MINIMAL.replace('env("OPENAI_API_KEY")', 'sk-secret')],
  ['with a text that has no end', MINIMAL.replace('env("OPENAI_API_KEY")', '"sk-secret')],
  ['before a comma that is no HCL', MINIMAL.replace('env("OPENAI_API_KEY")', '"sk-secret",')],
  ['in broken JSON', '{ "providers": [{ "api_key": "sk-secret" "x": 1 }] }'],
  ['in an address', { ...AS_OBJECT, providers: [{ name: 'openai', baseUrl: 'ftp://me:sk-secret@host' }] }],
  ['in an object where a text should be', { ...AS_OBJECT, defaultModel: { apiKey: 'sk-secret' } }],
  ['in a list where an object should be', { ...AS_OBJECT, search: [{ token: 'sk-secret' }] }],
  ['in the address of the storage', { ...AS_OBJECT, storageUrl: ['postgres://me:sk-secret@host'] }],
])('no secret is told: %s', async (_where, source) => {
  const message = await refusal(source)
  expect(message).not.toContain('sk-')
  expect(message.length).toBeGreaterThan(20)
})

test('the parser leaves nothing on the global object', async () => {
  await Promise.all([load(MINIMAL), load(`${MINIMAL}# again`)])
  expect(['Go', 'fs', 'require', '__parse_terraform_config_wasm__'].filter((key) => key in globalThis)).toEqual([])
})
