use std::time::Instant;
use crossbeam_queue::ArrayQueue;
use ring_shm::mpmc::{Producer,Consumer,Options};
fn main(){
  let n=512u64; let reps=8000u64;
  let name=format!("tmpops{}",std::process::id());
  let o=Options::new().slots(1024).slot_size(8);
  let mut p=Producer::create(&name,&o).unwrap(); let mut c=Consumer::open(&name).unwrap();
  for round in 0..3 {
  let (mut tp,mut tc)=(0u128,0u128); let mut sum=0u64;
  for _ in 0..reps { let t=Instant::now(); for i in 0..n { let m=i.to_le_bytes(); while p.try_send(0,&m).is_err(){} } let t2=Instant::now(); for _ in 0..n { let mut m=[0u8;8]; while c.try_recv_into(&mut m).is_err(){} sum=sum.wrapping_add(u64::from_le_bytes(m)); } tp+=(t2-t).as_nanos(); tc+=t2.elapsed().as_nanos(); }
  println!("ours push {:.2} pop {:.2} {sum}", tp as f64/(n*reps) as f64, tc as f64/(n*reps) as f64);
  let q=ArrayQueue::<u64>::new(1024);
  let (mut tp,mut tc)=(0u128,0u128); let mut sum=0u64;
  for _ in 0..reps { let t=Instant::now(); for i in 0..n { while q.push(i).is_err(){} } let t2=Instant::now(); for _ in 0..n { sum=sum.wrapping_add(loop{ if let Some(x)=q.pop(){break x;} }); } tp+=(t2-t).as_nanos(); tc+=t2.elapsed().as_nanos(); }
  println!("aq   push {:.2} pop {:.2} {sum} {round}", tp as f64/(n*reps) as f64, tc as f64/(n*reps) as f64);
  }
  drop(p);drop(c); ring_shm::unlink(&name, false).unwrap();
}
