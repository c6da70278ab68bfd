// The seconds in which a vote by one gesture can be taken back before it is sent: in words that count down,
// beside a bar that runs out (where motion is welcome; the stylesheet decides).

const SECONDS = 3;

export class Countdown {
  // `over` is called when the time is up.
  constructor({ box, words, over }) {
    Object.assign(this, { box, words, over });
    this.timer = 0;
  }

  // `sentence` says what was chosen, with {n} for the seconds left.
  start(sentence) {
    this.stop();
    let left = SECONDS;
    const say = () => (this.words.textContent = sentence.replace("{n}", left));
    say();
    this.box.getBoundingClientRect(); // so that the bar begins anew
    this.box.hidden = false;
    this.timer = setInterval(() => {
      left -= 1;
      if (left > 0) return say();
      this.stop();
      return this.over();
    }, 1000);
  }

  stop() {
    clearInterval(this.timer);
    this.box.hidden = true;
  }
}
