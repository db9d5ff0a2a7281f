/** What the reader can mend: a file that cannot be used. */
export class WrongInput extends Error {}
