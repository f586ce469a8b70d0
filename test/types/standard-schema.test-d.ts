/** The schema interface that we inline fits the published one, both ways, and its types reach handler and caller. */
import type { StandardSchema } from '@a3s-lab/lane'
import { defaultLanes, defineCommand, QueueManager } from '@a3s-lab/lane'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'

test('a schema of the specification is one of ours, and ours is one of the specification', () => {
  expectTypeOf<StandardSchemaV1<string, number>>().toExtend<StandardSchema<string, number>>()
  expectTypeOf<StandardSchema<string, number>>().toExtend<StandardSchemaV1<string, number>>()
  expectTypeOf<StandardSchemaV1<string, number>>().not.toExtend<StandardSchema<string, string>>()
})

test('a submitter gives what the schema takes, a handler gets what it makes of it', async () => {
  const count = defineCommand({
    type: 'count',
    payload: z.object({ text: z.string(), limit: z.string().transform(Number) }),
    result: z.number(),
  })
  expectTypeOf(count).parameter(0).toEqualTypeOf<{ text: string; limit: string }>()

  const queue = new QueueManager({ lanes: defaultLanes() })
  queue.handle(count, (payload) => {
    expectTypeOf(payload).toEqualTypeOf<{ text: string; limit: number }>()
    return payload.limit
  })
  // @ts-expect-error the result schema says number
  queue.handle(count, () => 'three')

  expectTypeOf(await queue.submit('query', count({ text: 'a', limit: '1' }))).toEqualTypeOf<number>()
})
