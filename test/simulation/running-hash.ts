/** A hash over everything that was seen, 64 bits in two halves: FNV-1a with two different offsets. Not for secrets. */
export class RunningHash {
  readonly #bits = new Uint32Array(2)
  readonly #number = new Float64Array(this.#bits.buffer)
  #low = 0x81_1c_9d_c5
  #high = 0x01_00_01_93

  mixNumber(value: number): void {
    this.#number[0] = value
    this.#mix(this.#bits[0] as number)
    this.#mix(this.#bits[1] as number)
  }

  mixText(text: string): void {
    for (let index = 0; index < text.length; index++) this.#mix(text.charCodeAt(index))
  }

  get text(): string {
    return [this.#high, this.#low].map((half) => half.toString(16).padStart(8, '0')).join('')
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01_00_01_93) >>> 0
    this.#high = Math.imul(this.#high ^ ((word >>> 16) | (word << 16)), 0x85_eb_ca_6b) >>> 0
  }
}
