/** Which model the agent works with: the recording, or a real one when the environment names it. */
import type { AgentConfigInput } from '@a3s-lab/lane/agent'
import { PlaybackServer } from './playback.js'
import { readRecording } from './recording.js'

export type ChosenModel = AsyncDisposable & {
  readonly config: AgentConfigInput
  /** For people. */
  readonly name: string
  readonly isRecorded: boolean
}

/** A real model needs MODEL, and OPENAI_API_KEY or OPENAI_BASE_URL or both: a key alone is no wish to use it. */
export async function chosenModel(env: NodeJS.ProcessEnv): Promise<ChosenModel> {
  const { MODEL: id, OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl } = env
  if (id === undefined || id === '' || (!apiKey && !baseUrl)) return recordedModel()
  const provider = { name: 'openai', models: [{ id }], ...(apiKey ? { apiKey } : {}), ...(baseUrl ? { baseUrl } : {}) }
  return {
    config: { defaultModel: `openai/${id}`, providers: [provider] },
    name: `${id} at ${baseUrl || 'api.openai.com'}`,
    isRecorded: false,
    [Symbol.asyncDispose]: async () => undefined,
  }
}

async function recordedModel(): Promise<ChosenModel> {
  const file = new URL('../../../examples/agent/recording.json', import.meta.url)
  const playback = await PlaybackServer.start(readRecording(file))
  const provider = { name: 'playback', baseUrl: playback.url, models: [{ id: 'recorded' }] }
  return {
    config: { defaultModel: 'playback/recorded', providers: [provider] },
    name: `a recording, played at ${playback.url}`,
    isRecorded: true,
    [Symbol.asyncDispose]: () => playback[Symbol.asyncDispose](),
  }
}
