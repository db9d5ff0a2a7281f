/** Matrices of three and four rows, as lists of rows, in double precision. */

export type Vector = [number, number, number];
export type Matrix = number[][];

/** Return the matrix that changes nothing. */
export function identity(size = 4): Matrix {
  return Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => Number(i === j)),
  );
}

/** Multiply matrices, from left to right. */
export function product(...factors: Matrix[]): Matrix {
  return factors.reduce((left, right) =>
    left.map((row) =>
      right[0].map((_, j) => row.reduce((sum, value, k) => sum + value * right[k][j], 0)),
    ),
  );
}

/** Return the matrix with rows and columns exchanged. */
export function transposed(matrix: Matrix): Matrix {
  return matrix[0].map((_, j) => matrix.map((row) => row[j]));
}

/** Solve for the inverse by elimination; throws where there is none. */
export function inverse(matrix: Matrix): Matrix {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...identity(size)[i]]);
  for (let column = 0; column < size; column++) {
    let best = column;
    for (let i = column; i < size; i++) {
      if (Math.abs(rows[i][column]) > Math.abs(rows[best][column])) best = i;
    }
    [rows[column], rows[best]] = [rows[best], rows[column]];
    const pivot = rows[column][column];
    if (Math.abs(pivot) < 1e-12) throw new Error("a singular matrix has no inverse");
    rows[column] = rows[column].map((value) => value / pivot);
    for (let i = 0; i < size; i++) {
      const factor = rows[i][column];
      if (i === column || factor === 0) continue;
      rows[i] = rows[i].map((value, j) => value - factor * rows[column][j]);
    }
  }
  return rows.map((row) => row.slice(size));
}

/** Return the upper left three rows and columns. */
export function linear(matrix: Matrix): Matrix {
  return matrix.slice(0, 3).map((row) => row.slice(0, 3));
}

/** Return the determinant of the upper left three rows and columns. */
export function determinant(matrix: Matrix): number {
  const [[a, b, c], [d, e, f], [g, h, i]] = matrix;
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

/** Carry a point through a matrix of four rows. */
export function carried(matrix: Matrix, [x, y, z]: Vector): Vector {
  const at = (row: number[]) => row[0] * x + row[1] * y + row[2] * z + row[3];
  return [at(matrix[0]), at(matrix[1]), at(matrix[2])];
}

/** Return the lengths of the first three columns: the edges of a voxel. */
export function spacing(matrix: Matrix): Vector {
  const side = (j: number) => Math.hypot(matrix[0][j], matrix[1][j], matrix[2][j]);
  return [side(0), side(1), side(2)];
}

/** Return the rotation nearest to three rows, their columns scaled to length one. */
export function rotation(matrix: Matrix): Matrix {
  const sides = spacing(matrix);
  let turn = linear(matrix).map((row) => row.map((value, j) => value / sides[j]));
  for (let step = 0; step < 60; step++) {
    const other = transposed(inverse(turn));
    turn = turn.map((row, i) => row.map((value, j) => (value + other[i][j]) / 2));
  }
  return turn;
}

/** Return the factors by which a matrix stretches: its three singular values. */
export function stretches(matrix: Matrix): number[] {
  const square = product(transposed(linear(matrix)), linear(matrix));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (const [p, q] of [[0, 1], [0, 2], [1, 2]]) {
      const angle = 0.5 * Math.atan2(2 * square[p][q], square[q][q] - square[p][p]);
      const turn = identity(3);
      turn[p][p] = turn[q][q] = Math.cos(angle);
      turn[p][q] = Math.sin(angle);
      turn[q][p] = -Math.sin(angle);
      const next = product(transposed(turn), square, turn);
      next.forEach((row, i) => (square[i] = row));
    }
  }
  return [0, 1, 2].map((i) => Math.sqrt(Math.max(0, square[i][i])));
}

/** Return the exponential of a small matrix, by its series after halving. */
export function exponential(matrix: Matrix): Matrix {
  const halvings = 10;
  const small = matrix.map((row) => row.map((value) => value / 2 ** halvings));
  let term = identity(matrix.length);
  let total = identity(matrix.length);
  for (let order = 1; order < 10; order++) {
    term = product(term, small).map((row) => row.map((value) => value / order));
    total = total.map((row, i) => row.map((value, j) => value + term[i][j]));
  }
  for (let count = 0; count < halvings; count++) total = product(total, total);
  return total;
}
