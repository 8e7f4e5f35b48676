// The current login and its rights.

export const login = {
  login: "",
  rights: [],

  may(right) {
    return this.rights.includes(right);
  },
};
