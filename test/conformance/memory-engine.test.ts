/** The suite for engines, on that in memory. */
import type { Engine } from '@a3s-lab/lane'
import { describeEngine, MemoryBroker, MemoryEngine, VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'

/** Vitest's runner, with an assertion in each test, as the house asks for. */
const runner = {
  describe,
  test: (name: string, body: () => Promise<void>) => test(name, () => expect(body()).resolves.toBeUndefined()),
}

function inMemory(engine: Engine): MemoryEngine {
  if (engine instanceof MemoryEngine) return engine
  throw new Error('an engine that no broker has made')
}

const clock = new VirtualClock()

describeEngine(
  {
    name: 'MemoryEngine',
    open() {
      const broker = new MemoryBroker({ clock })
      return { engine: (options) => broker.engine(options), close: () => Promise.resolve() }
    },
    clock,
    sleep: (ms) => clock.advance(ms),
    cut: (engine) => inMemory(engine).cut(),
    mend: (engine) => inMemory(engine).mend(),
    loseMessages(engine) {
      inMemory(engine).dropMessages = true
    },
  },
  runner,
)
