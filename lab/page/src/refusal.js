/** Why a file gives no score: the end of a sentence that begins with its name. */
export class Refusal extends Error {
  /** @param {object} [offer] what can be scored all the same */
  constructor(reason, offer) {
    super(reason);
    this.offer = offer;
  }
}
