#![allow(unsafe_code)]
use std::time::Instant;
use ring_shm::mpmc::{Producer,Consumer,Options};
fn pin(c:usize){ unsafe{ let mut s:libc::cpu_set_t=std::mem::zeroed(); libc::CPU_SET(c,&mut s); libc::sched_setaffinity(0,size_of::<libc::cpu_set_t>(),&s);} }
fn main(){ aq();
  let slots:u64=std::env::args().nth(1).map_or(1024,|s|s.parse().unwrap());
  let name=format!("tmpops{}",std::process::id());
  let o=Options::new().slots(slots).slot_size(8);
  for _ in 0..4 {
  let mut p=Producer::create(&name,&o).unwrap(); let mut c=Consumer::open(&name).unwrap();
  let n=10_000_000u64;
  let t=Instant::now();
  let h=std::thread::spawn(move||{ pin(0); let mut f=0u64; for i in 0..n { let m=i.to_le_bytes(); while p.try_send(0,&m).is_err(){f+=1; if f%64==0 {std::thread::yield_now();} std::hint::spin_loop();} } f});
  let g=std::thread::spawn(move||{ pin(1); let mut f=0u64; for i in 0..n { let mut m=[0u8;8]; while c.try_recv_into(&mut m).is_err(){f+=1; if f%64==0 {std::thread::yield_now();} std::hint::spin_loop();} assert_eq!(u64::from_le_bytes(m),i); } f});
  let (f,g)=(h.join().unwrap(),g.join().unwrap());
  println!("{:.1} M/s {:.2} ns full {f} empty {g}", n as f64/t.elapsed().as_secs_f64()/1e6, t.elapsed().as_secs_f64()*1e9/n as f64);
  ring_shm::unlink(&name,true).unwrap();
  }
}
#[allow(dead_code)]
pub fn aq(){
  let slots:usize=std::env::args().nth(1).map_or(1024,|s|s.parse().unwrap());
  for _ in 0..4 {
  let q=std::sync::Arc::new(crossbeam_queue::ArrayQueue::<u64>::new(slots)); let q2=q.clone();
  let n=10_000_000u64;
  let t=Instant::now();
  let h=std::thread::spawn(move||{ pin(0); let mut f=0u64; for i in 0..n { while q.push(i).is_err(){f+=1; if f%64==0 {std::thread::yield_now();} std::hint::spin_loop();} } f});
  let g=std::thread::spawn(move||{ pin(1); let mut f=0u64; for i in 0..n { let m=loop{ if let Some(m)=q2.pop(){break m;} f+=1; if f%64==0 {std::thread::yield_now();} std::hint::spin_loop();}; assert_eq!(m,i); } f});
  let (f,g)=(h.join().unwrap(),g.join().unwrap());
  println!("AQ {:.1} M/s {:.2} ns full {f} empty {g}", n as f64/t.elapsed().as_secs_f64()/1e6, t.elapsed().as_secs_f64()*1e9/n as f64);
  }
}
