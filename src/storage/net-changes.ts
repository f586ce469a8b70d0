/**
 * What batches of the journal come to, taken together: for each command the newest of each kind of change. Here is decided
 * which changes count: the first outcome, and nothing after it.
 */
import { BURY, COOL, HAS_ID, SETTLE, SUBMIT, UNBURY, UPDATE } from './batch-format.js'
import type { BatchView, PackedChange } from './batch-view.js'

/** What has changed of one command. */
export class NetChange {
  submit: PackedChange | undefined
  /** The newest update since the submit. */
  update: PackedChange | undefined
  outcome: PackedChange | undefined
  /** The how-manieth outcome it is; 0 without one. */
  order = 0
  /** Whether it is cold now; undefined when that has not changed. */
  isCold: boolean | undefined
  isWithdrawn = false
}

export class NetChanges {
  readonly commands = new Map<number, NetChange>()
  /** Burials and their undoing, in their order. */
  readonly letters: PackedChange[] = []
  /** Commands that are cold by what they are here. */
  readonly cold = new Set<number>()
  /** Submitters' own ids, each with the numbers of its commands. */
  readonly ids = new Map<string, number[]>()
  /** Outcomes that there were, these included. */
  settled: number
  highest = 0
  changes = 0
  /** About how many rows have to be written for them. */
  rows = 0

  readonly #isUnsettled: (seq: number) => boolean

  /** `isUnsettled`: whether the tables have such a command. */
  constructor(settled: number, isUnsettled: (seq: number) => boolean) {
    this.settled = settled
    this.#isUnsettled = isUnsettled
  }

  add(view: BatchView): void {
    view.each((change) => {
      this.changes++
      const { kind } = change
      if (kind === SUBMIT) this.#submit(change)
      else if (kind === BURY || kind === UNBURY) {
        this.letters.push(change)
        this.rows++
      } else this.#change(this.#netOf(change.seq), change)
    })
  }

  #submit(change: PackedChange): void {
    const { seq, isCold } = change
    if (!this.commands.has(seq)) this.rows++
    const net = new NetChange()
    net.submit = change
    this.commands.set(seq, net)
    this.#heat(net, seq, isCold)
    if (seq > this.highest) this.highest = seq
    if ((change.shape & HAS_ID) === 0) return
    const id = change.view.submit(change).id as string
    const numbers = this.ids.get(id)
    if (numbers === undefined) this.ids.set(id, [seq])
    else numbers.push(seq)
  }

  #change(net: NetChange, change: PackedChange): void {
    if (net.outcome !== undefined || net.isWithdrawn) return
    const { kind, seq } = change
    if (kind === UPDATE) {
      net.update = change
      this.#heat(net, seq, false)
    } else if (kind === COOL) this.#heat(net, seq, true)
    else if (kind === SETTLE) {
      if (net.submit === undefined && !this.#isUnsettled(seq)) return
      net.outcome = change
      net.order = ++this.settled
      this.cold.delete(seq)
      // what came and went in between leaves no row, unless it is kept
      if (net.submit !== undefined) this.rows--
    } else {
      net.isWithdrawn = true
      this.cold.delete(seq)
    }
  }

  #heat(net: NetChange, seq: number, isCold: boolean): void {
    net.isCold = isCold
    if (isCold) this.cold.add(seq)
    else if (this.cold.size > 0) this.cold.delete(seq)
  }

  #netOf(seq: number): NetChange {
    let net = this.commands.get(seq)
    if (net === undefined) {
      net = new NetChange()
      this.commands.set(seq, net)
      this.rows++
    }
    return net
  }
}
