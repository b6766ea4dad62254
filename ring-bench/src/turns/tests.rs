use super::turns;

#[test]
fn everybody_comes_once_a_round() {
    for count in [0, 1, 2, 7, 90] {
        for round in 0..100 {
            let mut order = turns(count, round);
            assert_eq!(order, turns(count, round));
            order.sort_unstable();
            assert!(order.into_iter().eq(0..count));
        }
    }
}

#[test]
fn everybody_comes_behind_everybody_else_equally_often() {
    const COUNT: usize = 6;
    const ROUNDS: usize = 6000;
    let mut behind = [[0; COUNT]; COUNT];
    for round in 0..ROUNDS {
        for pair in turns(COUNT, round).windows(2) {
            behind[pair[0]][pair[1]] += 1;
        }
    }
    for (before, row) in behind.iter().enumerate() {
        for (after, &times) in row.iter().enumerate() {
            // A sixth of the rounds, by chance some 29 more or less.
            let right = if before == after { times == 0 } else { (850..1150).contains(&times) };
            assert!(right, "{after} behind {before}: {times} times");
        }
    }
}
